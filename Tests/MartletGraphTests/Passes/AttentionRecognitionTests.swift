import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct AttentionRecognitionTests {
  /// Where an exporter may put the scale.
  enum Scale: CaseIterable {
    case product, divided, query, both, turnedKey
  }

  /// Heads of [n, rows, heads * width] as [n, heads, rows, width].
  private func heads(
    _ graph: inout Graph, _ x: ValueID, _ heads: Int, _ width: Int, perm: [Int] = [0, 2, 1, 3]
  ) throws -> ValueID {
    let shape = graph.addConstant("shape", try .int64s([0, 0, heads, width]))
    let split = graph.node("Reshape", [x, shape])
    return graph.node("Transpose", [split], ["perm": .ints(perm)])
  }

  private func input(_ graph: inout Graph, _ name: String, _ rows: String, _ width: Int) -> ValueID
  {
    graph.addInput(name, .float32, [.symbol("n"), .symbol(rows), .known(width)])
  }

  private func scaled(_ graph: inout Graph, _ id: ValueID, by number: Float, _ name: String = "Mul")
    throws -> ValueID
  {
    let factor = try graph.weight("factor\(graph.values.count)", [], [number])
    return graph.node(name, [id, factor])
  }

  /// Self-attention of 3 heads as an exporter writes it out.
  private func written(
    _ scale: Scale, hasMask: Bool, turnsKeyTwice: Bool = false, joins: Bool = true
  ) throws -> Graph {
    var graph = Graph()
    let (x, y) = (input(&graph, "x", "l", 12), input(&graph, "y", "t", 12))
    var q = try heads(&graph, x, 3, 4)
    var k: ValueID
    if turnsKeyTwice {
      k = graph.node(
        "Transpose", [try heads(&graph, y, 3, 4)], ["perm": .ints([0, 1, 3, 2])])
    } else {
      k = try heads(&graph, y, 3, 4, perm: [0, 2, 3, 1])
    }
    let v = try heads(&graph, y, 3, 4)
    switch scale {
    case .query: q = try scaled(&graph, q, by: 0.3)
    case .both:
      q = try scaled(&graph, q, by: 0.6)
      k = try scaled(&graph, k, by: 2, "Div")
    case .turnedKey: k = try scaled(&graph, k, by: 0.3)
    default: break
    }
    var scores = graph.node("MatMul", [q, k])
    if scale == .product { scores = try scaled(&graph, scores, by: 0.3) }
    if scale == .divided { scores = try scaled(&graph, scores, by: 3, "Div") }
    if hasMask {
      let mask = graph.addInput(
        "mask", .float32, [.symbol("n"), .known(1), .known(1), .symbol("t")])
      scores = graph.node("Add", [mask, scores])
    }
    let weights = graph.node("Softmax", [scores], ["axis": .int(-1)])
    var result = graph.node("MatMul", [weights, v])
    if joins {
      result = graph.node("Transpose", [result], ["perm": .ints([0, 2, 1, 3])])
      result = graph.node(
        "Reshape", [result, graph.addConstant("whole", try .int64s([0, 0, 12]))])
    }
    graph.output(result)
    return graph
  }

  @Test(
    "attention is recognised wherever the scale is", arguments: Scale.allCases, [true, false])
  func recognized(scale: Scale, hasMask: Bool) throws {
    let graph = try written(scale, hasMask: hasMask)
    let after = try graph.after(AttentionRecognition.pass)
    let names = after.operatorNames
    #expect(names.filter { $0 != "Reshape" && $0 != "Transpose" } == ["Attention"])
    var inputs: [Tensor] = [try .noise([2, 5, 12]), try .noise([2, 7, 12], seed: 2)]
    if hasMask { inputs.append(try .noise([2, 1, 1, 7], seed: 3)) }
    try graph.expectSame(as: after, inputs, tolerance: 1e-5)
  }

  @Test("what products and the mask's sum broadcast is broadcast")
  func broadcast() throws {
    for (query, key, value, mask) in [
      ([2, 3, 5, 4], [1, 3, 7, 4], [1, 3, 7, 6], [1, 1, 1, 7]),
      ([1, 3, 5, 4], [2, 1, 7, 4], [2, 1, 7, 6], [7]),
      ([1, 1, 5, 4], [2, 3, 7, 4], [2, 3, 7, 6], [1, 5, 7]),
      ([1, 1, 1, 4], [1, 1, 7, 4], [1, 1, 7, 6], [2, 3, 5, 7]),
      ([1, 1, 5, 4], [1, 1, 7, 4], [2, 3, 7, 6], [5, 1]),
    ] {
      var graph = Graph()
      func input(_ name: String, _ rank: Int) -> ValueID {
        graph.addInput(name, .float32, [Dimension](repeating: .unknown, count: rank))
      }
      let q = input("q", 4)
      let k = graph.node("Transpose", [input("k", 4)], ["perm": .ints([0, 1, 3, 2])])
      let v = input("v", 4)
      let sum = graph.node("Add", [graph.node("MatMul", [q, k]), input("mask", mask.count)])
      graph.output(graph.node("MatMul", [graph.node("Softmax", [sum]), v]))
      let after = try graph.after(AttentionRecognition.pass)
      #expect(after.operatorNames == ["Attention"])
      try graph.expectSame(
        as: after,
        [.noise(query), .noise(key, seed: 2), .noise(value, seed: 3), .noise(mask, seed: 4)],
        tolerance: 1e-5)
      // What the sum refuses is refused.
      var bad = mask
      bad[bad.count - 1] = 6
      #expect(throws: MartletError.self) {
        try after.run([.noise(query), .noise(key), .noise(value), .noise(bad)])
      }
    }
  }

  @Test("keys may be turned in steps, and the result may stay in heads")
  func otherForms() throws {
    let inputs: [Tensor] = [
      try .noise([2, 5, 12]), try .noise([2, 7, 12], seed: 2), try .noise([2, 1, 1, 7], seed: 3),
    ]
    let turned = try written(.product, hasMask: true, turnsKeyTwice: true)
    let whole = try turned.after(AttentionRecognition.pass)
    #expect(!whole.operatorNames.contains("Softmax"))
    try turned.expectSame(as: whole, inputs, tolerance: 1e-5)
    let split = try written(.product, hasMask: true, joins: false)
    let heads = try split.after(AttentionRecognition.pass)
    #expect(heads.operatorNames.filter { $0 == "Attention" }.count == 1)
    #expect(!heads.operatorNames.contains("Softmax"))
    try split.expectSame(as: heads, inputs, tolerance: 1e-5)
  }

  @Test("heads in the batch axis are recognised, with a mask for all of them alike")
  func batchedHeads() throws {
    var graph = Graph()
    let q = input(&graph, "q", "l", 4)
    let k = input(&graph, "k", "t", 4)
    let turned = graph.node("Transpose", [k], ["perm": .ints([0, 2, 1])])
    let scores = graph.node("MatMul", [q, turned])
    let mask = graph.addInput("mask", .float32, [.symbol("l"), .symbol("t")])
    let weights = graph.node(
      "Softmax", [graph.node("Add", [scores, mask])], ["axis": .int(2)])
    graph.output(graph.node("MatMul", [weights, k]))
    let after = try graph.after(AttentionRecognition.pass)
    #expect(after.operatorNames.contains("Attention"))
    #expect(!after.operatorNames.contains("Softmax"))
    try graph.expectSame(
      as: after,
      [.noise([3, 5, 4]), .noise([3, 7, 4], seed: 2), .noise([5, 7], seed: 3)], tolerance: 1e-5)
  }

  @Test("what is not attention, or more than attention, stays")
  func otherwise() throws {
    func stays(_ change: (inout Graph) throws -> Void) throws {
      var graph = try written(.product, hasMask: false)
      try change(&graph)
      let after = try graph.after(AttentionRecognition.pass)
      #expect(after.operatorNames.contains("Softmax"))
      #expect(!after.operatorNames.contains("Attention"))
    }
    func softmax(_ graph: Graph) throws -> Int {
      try #require(graph.nodes.firstIndex { $0.operatorName == "Softmax" })
    }
    // Somebody else reads the weights.
    try stays { graph in graph.output(graph.nodes[try softmax(graph)].outputs[0]) }
    // Softmax over the queries.
    try stays { graph in graph.nodes[try softmax(graph)].attributes["axis"] = .int(2) }
    // A scale after the mask would scale the mask too.
    try stays { graph in
      let position = try softmax(graph)
      let scores = try #require(graph.nodes[position].inputs[0])
      let mask = graph.addInput("mask", .float32, [.symbol("t")])
      let sum = graph.node("Add", [scores, mask])
      graph.nodes[position].inputs[0] = try scaled(&graph, sum, by: 2)
      try graph.sortTopologically()
    }
    // A mask of an unknown rank.
    try stays { graph in
      let position = try softmax(graph)
      let scores = try #require(graph.nodes[position].inputs[0])
      let mask = graph.addInput("mask", .float32, nil)
      graph.nodes[position].inputs[0] = graph.node("Add", [scores, mask])
      try graph.sortTopologically()
    }
  }
}
