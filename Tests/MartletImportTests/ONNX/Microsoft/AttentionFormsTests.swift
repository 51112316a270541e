import Glibc
import MartletCore
import ONNXFixtures
import Testing

@testable import MartletImport

/// Attention of com.microsoft and of ai.onnx.preview, in scores of 0 and 1.
@Suite struct AttentionFormsTests {
  /// One query of two keys, whose scores are 0, and values 1 and 3; then two queries.
  private func inputs(queries: Int = 1) throws -> [Tensor?] {
    [
      try numbers([Double](repeating: 0, count: queries), [1, queries, 1]),
      try numbers([1, 1], [1, 2, 1]), try numbers([1, 3], [1, 2, 1]),
    ]
  }

  private func y(_ inputs: [Tensor?], _ more: [NodeCase.Attribute] = []) throws -> [Double] {
    var node = NodeCase("MultiHeadAttention", inputs, [("num_heads", .int(1))] + more)
    let known = try node.run()[0].doubles
    node.isSymbolic = true
    #expect(try node.run()[0].doubles == known)
    return known
  }

  @Test("masks of all kinds add to the scores of the keys that they hide")
  func masks() throws {
    let inputs = try inputs()
    #expect(try y(inputs) == [2])
    for mask in [
      try numbers([1], [1], .int32), try numbers([1, 0, 1, 0, 2], [5], .int32),
      try numbers([1, 0], [1, 2], .int32), try numbers([1, 0], [1, 1, 2], .int32),
    ] {
      #expect(try y(inputs + [nil, mask]) == [1])
    }
    let none = try numbers([0, 0], [1, 2], .int32)
    #expect(try y(inputs + [nil, none]) == [2])
    let filter = [("mask_filter_value", ONNXEncoder.Attribute.float(-Float(log(3.0))))]
    let part = try y(inputs + [nil, try numbers([1, 0], [1, 2], .int32)], filter)[0]
    #expect(abs(part - 1.5) < 1e-6)
    let bias = try numbers([0, Double(log(3.0))], [1, 1, 1, 2])
    #expect(abs(try y(inputs + [nil, nil, bias])[0] - 2.5) < 1e-6)
  }

  @Test("a past comes first, and the causal part counts from its end")
  func past() throws {
    var all = try inputs(queries: 2)
    #expect(try y(all, [("unidirectional", .int(1))]) == [1, 2])
    all += [
      nil, nil, nil, try numbers([1, 1], [1, 1, 2, 1]), try numbers([5, 7], [1, 1, 2, 1]),
    ]
    #expect(try y(all, [("unidirectional", .int(1))])[1] == 4)
    let node = NodeCase("MultiHeadAttention", all, [("num_heads", .int(1))], outputs: 3)
    let results = try node.run()
    #expect(results[2].doubles == [5, 7, 1, 3] && results[2].shape == [1, 1, 4, 1])
  }

  @Test("Attention projects and splits; its masks may have begins too")
  func projected() throws {
    let x = try numbers([1, 3], [1, 2, 1])
    // Queries and keys of 0, values that are x.
    let w = try numbers([0, 0, 1], [1, 3])
    func y(_ mask: Tensor?) throws -> [Double] {
      try NodeCase("Attention", [x, w, nil, mask], [("num_heads", .int(1))]).run()[0].doubles
    }
    #expect(try y(nil) == [2, 2])
    #expect(try y(try numbers([2, 1], [2], .int32)) == [3, 3])
    #expect(try y(try numbers([1], [1], .int32)) == [1, 1])
    #expect(try y(try numbers([0], [1, 1], .int32)) == [2, 2])
    let biased = NodeCase(
      "Attention", [x, w, try numbers([0, 0, 5]), nil, try numbers([0, 9], [2, 1, 1, 1, 1])],
      [("num_heads", .int(1))], outputs: 2)
    let results = try biased.run()
    #expect(results[1].shape == [2, 1, 1, 3, 1] && results[1].doubles == [0, 0, 0, 9, 6, 8])
    let expected = 23.0 / 3
    #expect(results[0].isNear([expected, expected]))
  }

  @Test("QAttention's projection is that of integers") func quantized() throws {
    let x = try numbers([11, 13], [1, 2, 1], .uint8)
    let w = try numbers([0, 0, 2], [1, 3], .int8)
    let node = NodeCase(
      "QAttention",
      [
        x, w, try numbers([0, 0, 1]), try scalar(1), try scalar(0.5), nil, try scalar(10, .uint8),
      ], [("num_heads", .int(1))])
    #expect(try node.run()[0].doubles == [3, 3])
  }

  @Test("what ONNX Runtime's CPU does not run either is unsupported, by name")
  func refused() throws {
    var packed = NodeCase(
      "MultiHeadAttention", [try numbers([0, 0, 0], [1, 1, 1, 3, 1])], [("num_heads", .int(1))])
    #expect(packed.error?.code == .unsupported)
    packed.attributes = []
    #expect(packed.error?.input == "num_heads")
    let rotary = NodeCase(
      "Attention", [try numbers([1], [1, 1, 1]), try numbers([0, 0, 1], [1, 3])],
      [("num_heads", .int(1)), ("do_rotary", .int(1))])
    #expect(rotary.error?.code == .unsupported && rotary.error?.input == "do_rotary")
  }

  @Test("RotaryEmbedding takes one offset for all, and heads from the caches")
  func rotary() throws {
    let x = try numbers([1, 0, 0, 1, 1, 0, 0, 1], [1, 2, 4])
    let cosine = try numbers([1, 1, 0, -1], [4, 1])
    let sine = try numbers([0, 0, 1, 0], [4, 1])
    func y(_ positions: Tensor, _ more: [NodeCase.Attribute] = []) throws -> [Double] {
      var node = NodeCase("RotaryEmbedding", [x, positions, cosine, sine], more)
      let known = try node.run()[0].doubles
      if !more.isEmpty {
        node.isSymbolic = true
        #expect(try node.run()[0].doubles == known)
      }
      return known
    }
    let heads = [("num_heads", ONNXEncoder.Attribute.int(2))]
    // Positions 2 and 3: a quarter turn, and half a turn.
    let turned: [Double] = [0, 1, -1, 0, -1, 0, 0, -1]
    #expect(try y(try numbers([2], [1], .int64)) == turned)
    #expect(try y(try numbers([2, 3], [1, 2], .int64), heads) == turned)
    #expect(martletError { _ = try y(try numbers([3], [1], .int64)) }?.code == .invalidArgument)
  }

  private func subgraph(_ op: String, _ factor: Float) -> Message {
    ONNXEncoder.graph(
      [ONNXEncoder.node(op, ["s", "f"], ["t"])], inputs: [ONNXEncoder.value("s", 1, nil)],
      outputs: [ONNXEncoder.value("t", 1, nil)],
      initializers: [ONNXEncoder.floats("f", [], [factor])])
  }

  @Test("FlexAttention's subgraphs change the scores and the weights")
  func flex() throws {
    let q = try numbers([1, 1], [1, 2, 1, 1])
    let k = try numbers([0, Double(log(3.0))], [1, 1, 2, 1])
    let v = try numbers([1, 3], [1, 1, 2, 1])
    func y(_ attributes: [NodeCase.Attribute]) throws -> Tensor {
      try NodeCase("FlexAttention", [q, k, v], attributes, domain: "ai.onnx.preview").run()[0]
    }
    let plain = try y([])
    #expect(plain.shape == [1, 2, 1, 1] && plain.isNear([2.5, 2.5]))
    let flat = try y([("score_mod", .graph(subgraph("Mul", 0)))])
    #expect(flat.isNear([2, 2]))
    let doubled = try y([("prob_mod", .graph(subgraph("Mul", 2)))])
    #expect(doubled.isNear([5, 5]))
    #expect(try y([("scale", .float(0))]).isNear([2, 2]))
  }

  @Test("CausalConvWithState continues from its state, longer than the input too")
  func causalConvolution() throws {
    let w = try numbers([1, 10, 100], [1, 1, 3])
    func run(_ x: [Double], _ past: Tensor?, _ more: [NodeCase.Attribute] = []) throws -> [Tensor] {
      try NodeCase(
        "CausalConvWithState", [try numbers(x, [1, 1, x.count]), w, nil, past], more, outputs: 2,
        domain: ""
      ).run()
    }
    let whole = try run([1, 2, 3, 4], nil)
    #expect(whole[0].doubles == [100, 210, 321, 432] && whole[1].doubles == [3, 4])
    let first = try run([1], nil)
    #expect(first[1].doubles == [0, 1])
    let rest = try run([2, 3, 4], first[1])
    #expect(first[0].doubles + rest[0].doubles == whole[0].doubles)
    #expect(rest[1].doubles == whole[1].doubles)
    let gated = try run([0.01], nil, [("activation", .string("silu"))])
    #expect(gated[0].isNear([1 / (1 + exp(-1.0))]))
    let one = NodeCase(
      "CausalConvWithState", [try numbers([1, 2], [1, 1, 2]), try numbers([3], [1, 1, 1])],
      outputs: 2, domain: "")
    #expect(try one.run().map(\.doubles) == [[3, 6], []])
    #expect(
      martletError { _ = try run([1], nil, [("activation", .string("relu"))]) }?.input
        == "activation")
  }
}
