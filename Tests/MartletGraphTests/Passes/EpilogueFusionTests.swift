import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct EpilogueFusionTests {
  /// x: [n, 4] times a weight [4, 6], then what `build` adds.
  private func fused(
    _ expected: [String], _ build: (inout Graph, ValueID, ValueID) throws -> ValueID,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Graph {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(4)])
    let r = graph.addInput("r", .float32, [.symbol("n"), .known(6)])
    let w = graph.addConstant("w", try .noise([4, 6], seed: 3))
    graph.output(try build(&graph, graph.node("MatMul", [x, w]), r))
    let after = try graph.after(EpilogueFusion.pass)
    #expect(after.operatorNames == expected, sourceLocation: sourceLocation)
    try graph.expectSame(
      as: after, [.noise([5, 4]), .noise([5, 6], seed: 2)], tolerance: 1e-5,
      sourceLocation: sourceLocation)
    return after
  }

  @Test("factor, bias, residual and activation go into the product, in either order of operands")
  func everything() throws {
    let graph = try fused(["ai.martlet.FusedMatMul"]) { graph, product, r in
      let half = graph.node("Mul", [try graph.weight("half", [], [0.5]), product])
      let bias = try graph.weight("b", [6], [1, 2, 3, 4, 5, 6])
      let sum = graph.node("Add", [bias, half])
      return graph.node("Relu", [graph.node("Add", [r, sum])])
    }
    #expect(graph.nodes[0].fused == ["Mul1", "Add2", "Add3", "Relu4"])
  }

  @Test(
    "each activation is absorbed",
    arguments: ActivationTable.rows(for: .epilogue).map(\.name))
  func activations(name: String) throws {
    let row = try #require(ActivationTable.row(named: name, for: .epilogue))
    let graph = try fused(["ai.martlet.FusedMatMul"]) { graph, product, _ in
      graph.node(row.op.description, [product], row.attributes)
    }
    guard case .string(name) = graph.nodes[0].attributes["activation"] else {
      Issue.record("\(graph)")
      return
    }
  }

  @Test("what no epilogue applies stays", arguments: ["Softplus", "Celu", "Softsign"])
  func otherFunctions(name: String) throws {
    _ = try fused(["MatMul", name]) { graph, product, _ in graph.node(name, [product]) }
  }

  @Test("Clip with constant bounds, one or both")
  func clip() throws {
    _ = try fused(["ai.martlet.FusedMatMul"]) { graph, product, _ in
      graph.node("Clip", [product, try graph.weight("l", [], [0]), try graph.weight("h", [], [1])])
    }
    _ = try fused(["ai.martlet.FusedMatMul"]) { graph, product, _ in
      graph.node("Clip", [product, nil, try graph.weight("h", [], [1])])
    }
  }

  @Test("a factor of an operand becomes a factor of the product")
  func operandFactor() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(4)])
    let y = graph.addInput("y", .float32, [.known(4), .known(6)])
    let scaled = graph.node("Div", [x, try graph.weight("s", [], [8])])
    graph.output(graph.node("MatMul", [scaled, y]))
    let after = try graph.after(EpilogueFusion.pass)
    #expect(after.operatorNames == ["ai.martlet.FusedMatMul"])
    try graph.expectSame(as: after, [.noise([5, 4]), .noise([4, 6], seed: 2)], tolerance: 1e-5)
  }

  @Test("what others read, what would broadcast the product, and a second activation stay")
  func kept() throws {
    _ = try fused(["MatMul", "Relu", "Add"]) { graph, product, _ in
      graph.node("Add", [graph.node("Relu", [product]), product])
    }
    _ = try fused(["MatMul", "Add"]) { graph, product, _ in
      graph.node("Add", [product, try graph.weight("b", [2, 1, 6], [1, 2, 3])])
    }
    _ = try fused(["ai.martlet.FusedMatMul", "Tanh"]) { graph, product, _ in
      graph.node("Tanh", [graph.node("Relu", [product])])
    }
    _ = try fused(["ai.martlet.FusedMatMul", "Add"]) { graph, product, r in
      graph.node("Add", [graph.node("Relu", [product]), r])
    }
  }
}
