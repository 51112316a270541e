import Glibc
import MartletKernels
import Testing

/// A function of one operand with its float64 oracle and its bound in ulps.
struct MathCase: CustomTestStringConvertible, Sendable {
  /// By how much half an ulp of a negative operand moves the result.
  enum Tail { case flat, gaussian, cubic }

  let testDescription: String
  let op: Int
  let bound: Double
  let tail: Tail
  let oracle: @Sendable (Double) -> Double

  init(
    _ name: String, _ op: Int, bound: Double, tail: Tail = .flat,
    _ oracle: @escaping @Sendable (Double) -> Double
  ) {
    testDescription = name
    (self.op, self.bound, self.tail, self.oracle) = (op, bound, tail, oracle)
  }

  /// The ulps allowed at x; twice the bound in a tail where multiply-adds round twice.
  func allowed(_ x: Double, fused: Bool) -> Double {
    let slack = x < 0 && !fused ? 2 * bound : bound
    switch tail {
    case .flat: return bound
    case .gaussian: return slack + (x < 0 ? x * x / 2 : 0)
    case .cubic: return slack + (x < 0 ? -x * (1.6 + 0.22 * x * x) : 0)
    }
  }

  private static func sigmoid(_ x: Double) -> Double {
    x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x))
  }

  static let all: [MathCase] = [
    MathCase("exp", MK_UNARY_EXP, bound: 2) { exp($0) },
    MathCase("tanh", MK_UNARY_TANH, bound: 2) { tanh($0) },
    MathCase("erf", MK_UNARY_ERF, bound: 2) { erf($0) },
    MathCase("sigmoid", MK_UNARY_SIGMOID, bound: 2) { sigmoid($0) },
    MathCase("log", MK_UNARY_LOG, bound: 2) { log($0) },
    MathCase("sin", MK_UNARY_SIN, bound: 2) { sin($0) },
    MathCase("cos", MK_UNARY_COS, bound: 2) { cos($0) },
    MathCase("softplus", MK_UNARY_SOFTPLUS, bound: 4) {
      max($0, 0) + log1p(exp(-abs($0))) + ($0.isNaN ? $0 : 0)
    },
    MathCase("mish", MK_UNARY_MISH, bound: 5) { $0 * tanh(log1p(exp(min($0, 700)))) },
    MathCase("asin", MK_UNARY_ASIN, bound: 2) { asin($0) },
    MathCase("acos", MK_UNARY_ACOS, bound: 2) { acos($0) },
    MathCase("atan", MK_UNARY_ATAN, bound: 2) { atan($0) },
    MathCase("silu", MK_UNARY_SILU, bound: 4) { $0 * sigmoid($0) },
    MathCase("gelu", MK_UNARY_GELU, bound: 4, tail: .gaussian) {
      $0 * (0.5 * erfc(-$0 * 0.5.squareRoot()))
    },
    MathCase("gelu_tanh", MK_UNARY_GELU_TANH, bound: 4, tail: .cubic) {
      $0 * sigmoid(2 * (2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))
    },
    MathCase("elu", MK_UNARY_ELU, bound: 2) { $0 < 0 ? expm1($0) : $0 },
    MathCase("celu", MK_UNARY_CELU, bound: 2) { $0 < 0 ? expm1($0) : $0 },
    MathCase("swish", MK_UNARY_SWISH, bound: 4) { $0 * sigmoid($0) },
    MathCase("sqrt", MK_UNARY_SQRT, bound: 0.5) { $0.squareRoot() },
    MathCase("reciprocal", MK_UNARY_RECIPROCAL, bound: 0.5) { 1 / $0 },
    MathCase("floor", MK_UNARY_FLOOR, bound: 0) { $0.rounded(.down) },
    MathCase("ceil", MK_UNARY_CEIL, bound: 0) { $0.rounded(.up) },
    MathCase("round", MK_UNARY_ROUND, bound: 0) {
      $0.rounded(.toNearestOrEven)
    },
  ]
}

@Suite("Vector mathematics")
struct VectorsMathTests {
  @Test(
    "Functions keep their bound over the whole range", arguments: VectorTable.runnable,
    MathCase.all)
  func accuracy(table: VectorTable, function: MathCase) {
    var worst = -Double.infinity
    var culprit: Float = 0
    sampledFloats { x in
      let y = table.unary(function.op, x, 1)
      for i in x.indices {
        let wide = Double(x[i])
        let excess = ulps(y[i], function.oracle(wide)) - function.allowed(wide, fused: table.fuses)
        if excess > worst { (worst, culprit) = (excess, x[i]) }
      }
    }
    #expect(worst <= 0, "off by \(worst) ulps more than allowed at \(culprit)")
  }

  @Test("Sine and cosine reduce the hardest arguments", arguments: VectorTable.runnable)
  func hardAngles(table: VectorTable) {
    // Floats near multiples of pi/2, of every size: found by rounding the multiples.
    var x: [Float] = []
    for power in 0..<120 {
      for odd in [1.0, 3, 5, 7, 1001] { x.append(Float(odd * .pi / 2 * scalbn(1, power))) }
    }
    x += [0x1.fffffep16, 0x1p17, 0x1.6ac5b2p+18, 0x1.23b4d6p+95]
    let (sines, cosines) = (
      table.unary(MK_UNARY_SIN, x), table.unary(MK_UNARY_COS, x)
    )
    for i in x.indices {
      #expect(ulps(sines[i], sin(Double(x[i]))) <= 2, "sin \(x[i])")
      #expect(ulps(cosines[i], cos(Double(x[i]))) <= 2, "cos \(x[i])")
    }
  }

  @Test("The power function is C's, special cases included", arguments: VectorTable.runnable)
  func powers(table: VectorTable) {
    let special =
      specialFloats + [0.33333, 0.99999994, 1.0000001, 3.5, 7, 101, 16_777_215, 33_554_432]
    let all = special + special.map { -$0 }
    var x: [Float] = []
    var y: [Float] = []
    for base in all {
      for exponent in all {
        x.append(base)
        y.append(exponent)
      }
    }
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<20_000 {
      x.append(Float(bitPattern: UInt32(truncatingIfNeeded: generator.next())))
      y.append(generator.value() * 40)
    }
    let got = table.binary(MK_BINARY_POW, x, y)
    for i in x.indices {
      #expect(ulps(got[i], pow(Double(x[i]), Double(y[i]))) <= 1, "\(x[i]) ^ \(y[i])")
    }
  }

  @Test("A square is the product, to the bit", arguments: VectorTable.runnable)
  func squares(table: VectorTable) {
    var generator = SeededGenerator(seed: 3)
    let x = (0..<1000).map { _ in generator.value() * 1000 }
    let twos = [Float](repeating: 2, count: x.count)
    #expect(table.binary(MK_BINARY_POW, x, [2]) == x.map { $0 * $0 })
    #expect(table.binary(MK_BINARY_POW, x, twos) == x.map { $0 * $0 })
  }
}
