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
    #expect(names.filter { $0 != "Reshape" && $0 != "Transpose" } == ["ai.martlet.FusedAttention"])
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
      #expect(after.operatorNames == ["ai.martlet.FusedAttention"])
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
    #expect(heads.operatorNames.filter { $0 == "ai.martlet.FusedAttention" }.count == 1)
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
    #expect(after.operatorNames.contains("ai.martlet.FusedAttention"))
    #expect(!after.operatorNames.contains("Softmax"))
    try graph.expectSame(
      as: after,
      [.noise([3, 5, 4]), .noise([3, 7, 4], seed: 2), .noise([5, 7], seed: 3)], tolerance: 1e-5)
  }

  @Test("a query that sees no key stays the NaN that its softmax gives")
  func blindQueries() throws {
    let graph = try written(.product, hasMask: true)
    let after = try graph.after(AttentionRecognition.pass)
    #expect(after.operatorNames.contains("ai.martlet.FusedAttention"))
    let mask = try Tensor(uninitialized: .float32, [2, 1, 1, 7])
    mask.typed(Float.self).update(repeating: 0, count: 14)
    (mask.typed(Float.self) + 7).update(repeating: -.infinity, count: 7)
    let inputs: [Tensor] = [try .noise([2, 5, 12]), try .noise([2, 7, 12], seed: 2), mask]
    for one in [graph, after] {
      let result = try one.run(inputs)[0].floats
      #expect(result.prefix(60).allSatisfy(\.isFinite) && result.suffix(60).allSatisfy(\.isNaN))
    }
  }

  /// softmax(q @ k + mask) @ v with a guard that makes NaN weights zero.
  private func guarded(
    _ graph: inout Graph, _ q: ValueID, _ k: ValueID, _ v: ValueID, mask: ValueID?
  ) throws {
    var scores = graph.node("MatMul", [q, k])
    if let mask { scores = graph.node("Add", [scores, mask]) }
    let weights = graph.node("Softmax", [scores], ["axis": .int(-1)])
    let zero = try graph.weight("zero\(graph.values.count)", [], [0])
    let safe = graph.node("Where", [graph.node("IsNaN", [weights]), zero, weights])
    graph.output(graph.node("MatMul", [safe, v]))
  }

  @Test("a guard against NaN weights becomes part of it: queries that see no key give zero")
  func guardedWeights() throws {
    var graph = Graph()
    let (x, y) = (input(&graph, "x", "l", 12), input(&graph, "y", "t", 12))
    let shown = graph.addInput(
      "shown", .bool, [.symbol("n"), .known(1), .symbol("l"), .symbol("t")])
    let q = try scaled(&graph, try heads(&graph, x, 3, 4), by: 0.6)
    let k = try scaled(&graph, try heads(&graph, y, 3, 4, perm: [0, 2, 3, 1]), by: 0.6)
    let v = try heads(&graph, y, 3, 4)
    let mask = graph.node(
      "Where",
      [shown, try graph.weight("nothing", [1], [0]), try graph.weight("wall", [1], [-.infinity])])
    try guarded(&graph, q, k, v, mask: mask)
    let after = try graph.after(AttentionRecognition.pass)
    #expect(after.operatorNames.contains("ai.martlet.FusedAttention"))
    for name in ["Softmax", "IsNaN", "MatMul"] { #expect(!after.operatorNames.contains(name)) }
    let flags = try Tensor(uninitialized: .bool, [2, 1, 5, 7])
    for index in 0..<flags.count {
      // Query 1 of both and query 3 of the first see nothing.
      let query = index / 7 % 5
      let isBlind = query == 1 || query == 3 && index < 35
      flags.typed(UInt8.self)[index] = isBlind || index % 3 == 0 ? 0 : 1
    }
    let inputs: [Tensor] = [try .noise([2, 5, 12]), try .noise([2, 7, 12], seed: 2), flags]
    try graph.expectSame(as: after, inputs, tolerance: 1e-5)
    let result = try after.run(inputs)[0].floats
    #expect(result[4..<8].allSatisfy { $0 == 0 } && result.allSatisfy { !$0.isNaN })
    // Weights that somebody else reads, another value than zero, and another test stay.
    for change in 0..<3 {
      var other = graph
      let choice = try #require(
        other.nodes.lastIndex { $0.op == "Where" })
      switch change {
      case 0: other.output(try #require(other.nodes[choice].inputs[2]))
      case 1: other.nodes[choice].inputs[1] = try other.weight("one", [], [1])
      default:
        let scores = try #require(other.nodes.firstIndex { $0.op == "Softmax" })
        let test = try #require(other.nodes.firstIndex { $0.op == "IsNaN" })
        other.nodes[test].inputs[0] = other.nodes[scores].inputs[0]
      }
      #expect(
        !(try other.after(AttentionRecognition.pass)).operatorNames.contains(
          "ai.martlet.FusedAttention"))
    }
  }

  @Test("keys turned while their heads are one axis, and repeated for groups of query heads")
  func dynamoForms() throws {
    // (repeats, the mask's shape, whether the attention reads the heads before they were repeated)
    for (group, maskShape, isGrouped) in [
      (1, [1, 1, 5, 7], false), (2, [1, 1, 5, 7], true), (2, [7], true), (2, [2, 4, 5, 7], true),
      (2, [1, 4, 1, 1], false), (2, [3, 1, 1, 5, 7], false),
    ] {
      var graph = Graph()
      func whole(_ name: String, _ shape: [Int]) -> ValueID {
        graph.addInput(name, .float32, shape.map { .known($0) })
      }
      func reshape(_ x: ValueID, _ shape: [Int]) throws -> ValueID {
        let target = graph.addConstant("shape\(graph.values.count)", try .int64s(shape))
        return graph.node("Reshape", [x, target])
      }
      func repeated(_ x: ValueID) throws -> ValueID {
        guard group > 1 else { return x }
        let axes = graph.addConstant("axes\(graph.values.count)", try .int64s([2]))
        let target = graph.addConstant(
          "wide\(graph.values.count)", try .int64s([2, 4 / group, group, 7, 8]))
        let wide = graph.node("Expand", [graph.node("Unsqueeze", [x, axes]), target])
        return try reshape(wide, [2, 4, 7, 8])
      }
      let q = try scaled(&graph, whole("q", [2, 4, 5, 8]), by: 0.6)
      let flat = try reshape(try repeated(whole("k", [2, 4 / group, 7, 8])), [8, 7, 8])
      let turned = graph.node("Transpose", [flat], ["perm": .ints([0, 2, 1])])
      let k = try scaled(&graph, try reshape(turned, [2, 4, 8, 7]), by: 0.6)
      let v = try repeated(whole("v", [2, 4 / group, 7, 8]))
      try guarded(&graph, q, k, v, mask: whole("mask", maskShape))
      let after = try graph.after(AttentionRecognition.pass)
      guard maskShape.count <= 4 else {
        #expect(!after.operatorNames.contains("ai.martlet.FusedAttention"))
        continue
      }
      let attention = try #require(after.nodes.first { $0.op == FusedAttention.schema.id })
      #expect((attention.attributes["grouped"] != nil) == isGrouped, "mask \(maskShape)")
      #expect(after.operatorNames.contains("Expand") == (group > 1 && !isGrouped))
      #expect(!after.operatorNames.contains("MatMul"))
      try graph.expectSame(
        as: after,
        [
          .noise([2, 4, 5, 8]), .noise([2, 4 / group, 7, 8], seed: 2),
          .noise([2, 4 / group, 7, 8], seed: 3), .noise(maskShape, seed: 4),
        ], tolerance: 1e-5)
    }
  }

  @Test("what is not attention, or more than attention, stays")
  func otherwise() throws {
    func stays(_ change: (inout Graph) throws -> Void) throws {
      var graph = try written(.product, hasMask: false)
      try change(&graph)
      let after = try graph.after(AttentionRecognition.pass)
      #expect(after.operatorNames.contains("Softmax"))
      #expect(!after.operatorNames.contains("ai.martlet.FusedAttention"))
    }
    func softmax(_ graph: Graph) throws -> Int {
      try #require(graph.nodes.firstIndex { $0.op == "Softmax" })
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
