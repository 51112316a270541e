import MartletBackends
import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

/// Martlet's own operators beside what they say that they are in ONNX's.
@Suite struct GraphDecompositionTests {
  /// A call without its activation; nil: an input that is absent.
  struct Call: Sendable, CustomTestStringConvertible {
    let name: String
    let shapes: [[Int]?]
    var attributes: [String: AttributeValue] = [:]

    var testDescription: String { "\(name) \(shapes) \(attributes.keys.sorted())" }
  }

  static let products = [
    Call(name: "FusedMatMul", shapes: [[5, 7], [7, 6]], attributes: ["alpha": .float(0.75)]),
    Call(name: "FusedMatMul", shapes: [[5, 7], [7, 6], [6], [5, 6]]),
    Call(name: "FusedMatMul", shapes: [[2, 1, 5, 7], [3, 7, 6], nil, [3, 5, 6]]),
    Call(name: "FusedMatMul", shapes: [[7], [7, 6], nil, [6]]),
    Call(name: "FusedMatMul", shapes: [[2, 5, 7], [7], nil, [5]]),
    Call(
      name: "FusedMatMul", shapes: [[7, 5], [6, 7], [6], [1, 6]],
      attributes: ["trans_a": .int(1), "trans_b": .int(1), "alpha": .float(-0.5)]),
    Call(name: "FusedMatMul", shapes: [[2, 7, 5], [7, 6]], attributes: ["trans_a": .int(1)]),
    Call(
      name: "FusedMatMul", shapes: [[7], [6, 7]],
      attributes: [
        "trans_a": .int(1), "trans_b": .int(1),
      ]),
    Call(name: "FusedGemm", shapes: [[5, 7], [7, 6], [6], [5, 6]]),
    Call(
      name: "FusedGemm", shapes: [[7, 5], [6, 7], [5, 6], [5, 6]],
      attributes: [
        "transA": .int(1), "transB": .int(1), "alpha": .float(0.75), "beta": .float(-0.5),
      ]),
    Call(name: "FusedGemm", shapes: [[5, 7], [7, 6], nil, [6]]),
    Call(name: "Linear", shapes: [[2, 5, 7], [6, 7], [6], [2, 5, 6]]),
    Call(name: "Linear", shapes: [[7], [6, 7], [6]]),
    Call(name: "Linear", shapes: [[5, 7], [6, 7], nil, [6]]),
    Call(
      name: "FusedConv", shapes: [[2, 4, 9, 9], [6, 2, 3, 3], [6], [2, 6, 9, 9]],
      attributes: ["group": .int(2), "pads": .ints([1, 1, 1, 1])]),
    Call(
      name: "FusedConv", shapes: [[1, 4, 9, 9], [4, 1, 3, 3], [4], [1, 4, 4, 4]],
      attributes: ["group": .int(4), "strides": .ints([2, 2])]),
    Call(name: "FusedConv", shapes: [[2, 3, 11], [5, 3, 3], nil, [2, 5, 9]]),
    Call(
      name: "FusedConv", shapes: [[1, 32, 14, 14], [32, 32, 3, 3], [32], [1, 32, 14, 14]],
      attributes: ["auto_pad": .string("SAME_UPPER")]),
    Call(name: "FusedConv", shapes: [[1, 8, 5, 5], [6, 8, 1, 1]]),
  ]

  static let attentions = [
    Call(name: "FusedAttention", shapes: [[2, 3, 5, 8], [2, 3, 7, 8], [2, 3, 7, 6], [5, 7]]),
    Call(name: "FusedAttention", shapes: [[2, 1, 5, 8], [1, 3, 7, 8], [2, 3, 7, 6]]),
    Call(name: "FusedAttention", shapes: [[2, 5, 8], [2, 7, 8], [2, 7, 6], [5, 7]]),
    Call(
      name: "FusedAttention", shapes: [[2, 6, 5, 8], [2, 2, 7, 8], [2, 2, 7, 6], [2, 1, 5, 7]],
      attributes: ["grouped": .int(1), "nan_to_zero": .int(1)]),
    Call(
      name: "FusedAttention", shapes: [[1, 4, 1, 8], [1, 2, 3, 8], [1, 2, 3, 4]],
      attributes: ["grouped": .int(1)]),
    Call(
      name: "FusedAttention", shapes: [[2, 3, 5, 8], [2, 3, 7, 8], [2, 3, 7, 6], [2, 1, 5, 7]],
      attributes: ["nan_to_zero": .int(1)]),
  ]

  static let floats = [DType.float32, .float64, .float16, .bfloat16]

  @Test("each operator of Martlet's own is held against what it says that it is") func all() {
    let tested = (GraphDecompositionTests.products + GraphDecompositionTests.attentions).map(\.name)
    let own = OperatorTable.all.map { $0.schema.id }.filter {
      $0.domain == OperatorID.martletDomain
    }
    #expect(Set(own.map(\.name)) == Set(tested + ["DequantizedMatMul", "Silu"]))
  }

  /// No activation, and each with its own parameters and with others.
  private static var activations: [[String: AttributeValue]] {
    [[:]]
      + ActivationTable.rows(for: .epilogue).flatMap { row -> [[String: AttributeValue]] in
        let plain: [String: AttributeValue] = ["activation": .string(row.name)]
        var other = plain
        if row.alpha != nil { other["activation_alpha"] = .float(0.25) }
        if row.beta != nil { other["activation_beta"] = .float(0.75) }
        return other.count == 1 ? [plain] : [plain, other]
      }
  }

  /// docs/numerics.md: the epilogue rounds after each of its steps, as separate operators of float32
  /// do. Those of 16 bits round to their own type after each step: four of them and the activation,
  /// whose slopes stay below 1.6.
  @Test("products with all that an epilogue does", arguments: products, floats)
  func epilogues(call: Call, dtype: DType) throws {
    let unit = GraphDecompositionTests.roundoff(dtype)
    for (round, activation) in GraphDecompositionTests.activations.enumerated() {
      let inputs = try call.shapes.enumerated().map { slot, shape in
        try shape.map { try Tensor.noise($0, seed: UInt64(8 * round + slot)).cast(to: dtype) }
      }
      let attributes = call.attributes.merging(activation) { $1 }
      let magnitude = try GraphDecompositionTests.magnitudes(call, inputs)
      // SiLU is one kernel, and two operators of ONNX's.
      let isComposed = if case .string("Silu") = attributes["activation"] { true } else { false }
      try GraphDecompositionTests.compare(
        call.name, inputs, attributes, hasConstantWeight: round % 2 == 1
      ) { index, result in
        if dtype == .float32, !isComposed { return 0 }
        return unit * (8 * magnitude[index] + 4 * abs(result)) + unit * 0x1p-10
          + 32 * 0x1p-24 * (dtype == .float64 ? 0 : magnitude[index] + abs(result))
      }
    }
  }

  @Test("attention, with groups, masks and queries that see nothing", arguments: attentions, floats)
  func attention(call: Call, dtype: DType) throws {
    var attributes = call.attributes
    attributes["scale"] = .float(0.25)
    for hidesRow in [false, true] {
      var inputs = try call.shapes.enumerated().map { slot, shape in
        try shape.map { try Tensor.noise($0, seed: UInt64(slot + 1)) }
      }
      if hidesRow {
        guard inputs.count > 3, let mask = inputs[3] else { continue }
        let width = mask.shape[mask.rank - 1]
        for index in 0..<width { mask.typed(Float.self)[width + index] = -.infinity }
      }
      inputs = try inputs.map { try $0?.cast(to: dtype) }
      // All of noise is below 2; of the width and the keys there are few.
      let (width, keys) = (
        Double(call.shapes[0]?.last ?? 0), Double(call.shapes[1]?.suffix(2).first ?? 0)
      )
      let scores = 0.25 * width * 4 + 2
      let wide = 2 * 2 * (4 * (width + 12) * scores + 2 * keys + 16)
      let narrow = 2 * (8 * scores + 6)
      let unit = GraphDecompositionTests.roundoff(dtype)
      try GraphDecompositionTests.compare(call.name, inputs, attributes, hasConstantWeight: false) {
        _, _ in
        switch dtype {
        case .float64: wide * 0x1p-52
        case .float32: wide * 0x1p-24
        default: wide * 0x1p-24 + narrow * unit
        }
      }
    }
  }

  /// The integers' sums are exact; dequantising rounds each element and the product each term.
  @Test("products of dequantised matrices", arguments: [DType.int8, .uint8], [DType.int8, .uint8])
  func dequantized(lhs: DType, rhs: DType) throws {
    let scales: [([Int], [Int])] = [([], []), ([1], [1]), ([], [6]), ([1], [6])]
    for (a, b) in scales {
      let k = 16
      let inputs: [Tensor?] = [
        try Tensor.noise([5, k]).scaled(50).cast(to: lhs), try Tensor.floats(a, [0.25]),
        try Tensor.floats([], [3]).cast(to: lhs),
        try Tensor.noise([k, 6], seed: 2).scaled(60).cast(to: rhs),
        try Tensor.floats(b, [0.03, 0.5, 0.7, 0.11, 0.2, 0.9]),
        try Tensor.floats(b, [1, 2, 5, 7, 3, 0]).cast(to: rhs),
      ]
      // Elements are below 256, scales below 0.25 and 0.9.
      let magnitude = Double(k) * 256 * 0.25 * 256 * 0.9
      for hasConstant in [false, true] {
        try GraphDecompositionTests.compare(
          "DequantizedMatMul", inputs, [:], hasConstantWeight: hasConstant, weight: 3
        ) { _, result in
          2 * Double(k + 4) * 0x1p-24 * magnitude + 8 * 0x1p-24 * abs(result)
        }
      }
    }
  }

  @Test("SiLU", arguments: floats) func silu(dtype: DType) throws {
    let x = try Tensor.noise([3, 67]).scaled(5).cast(to: dtype)
    let unit = GraphDecompositionTests.roundoff(dtype)
    try GraphDecompositionTests.compare("Silu", [x], [:], hasConstantWeight: false) { _, result in
      8 * unit * abs(result) + (dtype == .float64 ? 0 : 16 * 0x1p-24 * abs(result) + 0x1p-24)
    }
  }

  @Test("operators of ONNX's have none") func others() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(3)])
    graph.output(graph.node("Relu", [x]))
    #expect(try graph.decomposition(of: graph.nodes[0]) == nil)
  }

  // MARK: - Comparing

  private static func roundoff(_ dtype: DType) -> Double {
    switch dtype {
    case .float64: 0x1p-52
    case .float16: 0x1p-11
    case .bfloat16: 0x1p-8
    default: 0x1p-24
    }
  }

  /// A graph of one node of one of Martlet's own operators; constant inputs are none of the graph's.
  private static func graph(
    _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue],
    constant: Int? = nil
  ) throws -> Graph {
    var graph = Graph()
    let ids = inputs.enumerated().map { slot, tensor in
      tensor.map {
        slot == constant
          ? graph.addConstant("w", $0)
          : graph.addInput("x\(slot)", $0.dtype, $0.shape.map { .known($0) })
      }
    }
    graph.output(graph.node("ai.martlet.\(name)", ids, attributes))
    try graph.inferTypes()
    return graph
  }

  /// Runs the operator and its decomposition; `bound` says how far element i of both, the first of which
  /// it is given, may differ.
  private static func compare(
    _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue],
    hasConstantWeight: Bool, weight: Int = 1, _ bound: (Int, Double) -> Double
  ) throws {
    let constant = hasConstantWeight ? weight : nil
    let graph = try GraphDecompositionTests.graph(name, inputs, attributes, constant: constant)
    let body = try #require(try graph.decomposition(of: graph.nodes[0]))
    #expect(body.nodes.allSatisfy { $0.op.domain.isEmpty }, "\(body)")
    try body.verify()
    try body.expectRoundTrip()
    let given = inputs.enumerated().compactMap { slot, tensor in slot == constant ? nil : tensor }
    let fused = try graph.run(given, mode: .fp32)[0]
    let decomposed = try body.run(inputs.compactMap { $0 }, mode: .fp32)[0]
    #expect(fused.shape == decomposed.shape && fused.dtype == decomposed.dtype, "\(attributes)")
    var worst = (excess: 0.0, index: 0)
    let (a, b) = (try fused.doubles(), try decomposed.doubles())
    for index in a.indices where a[index] != b[index] && !(a[index].isNaN && b[index].isNaN) {
      let excess = abs(a[index] - b[index]) - bound(index, a[index])
      if !(excess <= worst.excess) { worst = (excess, index) }
    }
    #expect(
      worst.excess == 0,
      "\(name) \(attributes): \(a[worst.index]) and \(b[worst.index]) at \(worst.index)")
  }

  /// Of each result, the sum of what is added up, without its signs.
  private static func magnitudes(_ call: Call, _ inputs: [Tensor?]) throws -> [Double] {
    var attributes = call.attributes
    for name in ["alpha", "beta"] {
      if case .float(let value) = attributes[name] { attributes[name] = .float(abs(value)) }
    }
    let wide = try inputs.map { try $0?.cast(to: .float64).magnitude() }
    let graph = try GraphDecompositionTests.graph(call.name, wide, attributes)
    let body = try #require(try graph.decomposition(of: graph.nodes[0]))
    return try body.run(wide.compactMap { $0 })[0].doubles()
  }
}

extension Tensor {
  private func applying(
    _ op: OperatorID, _ more: [Tensor] = [], _ attributes: [String: AttributeValue] = [:]
  ) throws -> Tensor {
    let node = OperatorNode(
      attributes: Attributes(attributes, operatorName: op.description),
      constants: [Tensor?](repeating: nil, count: more.count + 1), inputCount: more.count + 1,
      outputCount: 1)
    return try OperatorTable.make(op, node).results([self] + more, RunContext(mode: .fp32))[0]
  }

  fileprivate func cast(to dtype: DType) throws -> Tensor {
    try applying("Cast", [], ["to": .int(Int(dtype.rawValue))])
  }

  fileprivate func magnitude() throws -> Tensor { try applying("Abs") }

  fileprivate func scaled(_ factor: Float) throws -> Tensor {
    try applying("Mul", [.floats([], [factor])])
  }

  fileprivate func doubles() throws -> [Double] {
    let wide = try cast(to: .float64).copied()
    return (0..<wide.count).map { wide.typed(Double.self)[$0] }
  }
}
