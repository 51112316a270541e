import Glibc
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ActivationsTests {
  typealias Function = @Sendable (Double) -> Double

  static let points = [-30, -3.5, -1, -0.5, -0.1, 0, 0.1, 0.5, 0.9, 1, 2.5, 30]

  static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

  static let functions: [(String, Function)] = [
    ("Exp", { exp($0) }), ("Tanh", { tanh($0) }), ("Erf", { erf($0) }), ("Sin", { sin($0) }),
    ("Cos", { cos($0) }), ("Tan", { tan($0) }), ("Atan", { atan($0) }), ("Asinh", { asinh($0) }),
    ("Sigmoid", { sigmoid($0) }), ("Relu", { max($0, 0) }), ("Silu", { $0 * sigmoid($0) }),
    ("Gelu", { $0 / 2 * (1 + erf($0 / 2.0.squareRoot())) }),
    ("Softplus", { max($0, 0) + log1p(exp(-abs($0))) }), ("Softsign", { $0 / (1 + abs($0)) }),
    ("Mish", { $0 * tanh(max($0, 0) + log1p(exp(-abs($0)))) }),
    ("HardSwish", { $0 * min(max($0 / 6 + 0.5, 0), 1) }),
    ("HardSigmoid", { min(max(Double(Float(0.2)) * $0 + 0.5, 0), 1) }),
    ("LeakyRelu", { $0 < 0 ? Double(Float(0.01)) * $0 : $0 }),
    ("Elu", { $0 < 0 ? expm1($0) : $0 }), ("Celu", { $0 < 0 ? expm1($0) : $0 }),
    ("ThresholdedRelu", { $0 > 1 ? $0 : 0 }), ("Neg", { -$0 }), ("Abs", { abs($0) }),
    ("Floor", { floor($0) }), ("Ceil", { ceil($0) }), ("Round", { rint($0) }),
    ("Sign", { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }), ("Sinh", { sinh($0) }), ("Cosh", { cosh($0) }),
  ]

  @Test("float32 and float64 agree with the definition", arguments: functions)
  func definitions(_ name: String, _ function: Function) throws {
    let expected = Self.points.map { function($0) }
    let single = try values(name, [tensor(Self.points)])
    let rounded = Self.points.map { function(Double(Float($0))) }
    #expect(agree(single, rounded, 3e-6), "\(name): \(single) against \(rounded)")
    let double = try values(name, [tensor(Self.points, nil, .float64)])
    #expect(agree(double, expected, 1e-12), "\(name): \(double) against \(expected)")
  }

  @Test(
    "16-bit floats are computed in float32 and rounded once",
    arguments: [DType.float16, .bfloat16])
  func halves(_ dtype: DType) throws {
    let x = try tensor((0..<1500).map { Double($0 % 64) / 16 - 2 }, nil, dtype)
    for name in ["Tanh", "Gelu", "Exp", "Relu"] {
      let wide = try run("Cast", [x], ["to": .int(1)])[0]
      let expected = try run("Cast", run(name, [wide]), ["to": .int(Int(dtype.rawValue))])[0]
      #expect(try values(name, [x]) == expected.values)
    }
  }

  @Test("parameters are heeded in float32 as in float64, whatever their sign")
  func parameters() throws {
    for (name, attributes) in [
      ("Selu", [:]), ("Selu", ["alpha": .float(0.5), "gamma": .float(-2)]),
      ("Celu", ["alpha": .float(0.5)]), ("Celu", ["alpha": .float(-3)]),
      ("Swish", ["alpha": .float(1.702)]), ("Swish", ["alpha": .float(-0.5)]),
      ("Swish", ["alpha": .float(0.01)]), ("Elu", ["alpha": .float(-1.5)]),
    ] as [(String, [String: AttributeValue])] {
      let points = Self.points.map { Double(Float($0)) } + [-1e4, 1e4, -1e30, .infinity, .nan]
      let expected = try values(name, [tensor(points, nil, .float64)], attributes)
      let single = try values(name, [tensor(points)], attributes)
      #expect(agree(single, expected, 3e-6), "\(name): \(single) against \(expected)")
    }
  }

  @Test("Shrink takes integers too") func integerShrink() throws {
    for (dtype, x, expected) in [
      (DType.int8, [-128, -3, 0, 3, 127], [-126, -1, 0, 1, 125]),
      (.uint8, [0, 3, 255], [0, 1, 253]),
      (.int64, [-9, 2], [-7, 0]),
    ] as [(DType, [Double], [Double])] {
      let attributes: [String: AttributeValue] = ["lambd": .float(0.5), "bias": .float(2)]
      #expect(try values("Shrink", [tensor(x, nil, dtype)], attributes) == expected)
    }
  }

  @Test("NaN is above no threshold") func thresholds() throws {
    for dtype in [DType.float32, .float64, .float16] {
      #expect(try values("ThresholdedRelu", [tensor([.nan, 2], nil, dtype)]) == [0, 2])
      #expect(try values("Shrink", [tensor([.nan, 2], nil, dtype)]) == [0, 2])
    }
  }

  @Test("strided and broadcast inputs are taken") func strides() throws {
    let x = try iota([3, 5]).permuted([1, 0])
    #expect(try values("Neg", [x]) == x.values.map { -$0 })
    let wide = try tensor([2, 3], [2, 1]).broadcast(to: [2, 4])
    #expect(try values("Neg", [wide]) == [-2, -2, -2, -2, -3, -3, -3, -3])
    #expect(try run("Exp", [tensor([], [0])])[0].shape == [0])
  }

  @Test("an element's bits do not depend on its place") func place() throws {
    let x = (0..<103).map { Double($0) / 7 - 7 }
    for (name, _) in Self.functions {
      let whole = try values(name, [tensor(x)])
      let alone = try x.map { try values(name, [tensor([$0], [])])[0] }
      #expect(agree(whole, alone, 0), "\(name)")
    }
  }

  @Test("unknown attribute values are named") func errors() {
    let error = #expect(throws: MartletError.self) {
      try run("Gelu", [iota([2])], ["approximate": .string("best")])
    }
    #expect(error?.input == "approximate")
    #expect(throws: MartletError.self) { try run("Sqrt", [iota([2], .int32)]) }
    #expect(throws: MartletError.self) { try run("Elu", [iota([2])], ["alfa": .float(1)]) }
  }
}
