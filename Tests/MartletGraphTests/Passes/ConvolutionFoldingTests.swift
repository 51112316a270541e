import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct ConvolutionFoldingTests {
  private func folded(
    _ expected: [String], hasBias: Bool = false,
    _ build: (inout Graph, ValueID) throws -> ValueID,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    var graph = Graph()
    let x = graph.addInput(
      "x", .float32, [.symbol("n"), .known(4), .symbol("h"), .symbol("w")])
    let w = graph.addConstant("w", try .noise([6, 2, 3, 3], seed: 3))
    let bias = hasBias ? try graph.weight("b", [6], [1, -1, 2, -2, 3, -3]) : nil
    let convolution = graph.node(
      "Conv", [x, w, bias], ["group": .int(2), "pads": .ints([1, 1, 1, 1])])
    if !hasBias { graph.nodes[0].inputs.removeLast() }
    graph.output(try build(&graph, convolution))
    let after = try graph.after(ConvolutionFolding.pass)
    #expect(after.operatorNames == expected, sourceLocation: sourceLocation)
    try graph.expectSame(
      as: after, [.noise([2, 4, 5, 6])], tolerance: 1e-5, sourceLocation: sourceLocation)
  }

  @Test("batch normalisation goes into weights and bias", arguments: [true, false])
  func batchNormalization(hasBias: Bool) throws {
    try folded(["Conv"], hasBias: hasBias) { graph, x in
      graph.node(
        "BatchNormalization",
        [
          x, try graph.weight("s", [6], [1, 2, 3]), try graph.weight("c", [6], [0.5, -1]),
          try graph.weight("m", [6], [0.1, 0.2]), try graph.weight("v", [6], [1, 4, 9]),
        ], ["epsilon": .float(1e-3)])
    }
  }

  @Test("a constant factor and term per channel go in too, one after another")
  func perChannel() throws {
    try folded(["Conv"]) { graph, x in
      let scaled = graph.node("Mul", [try graph.weight("s", [6, 1, 1], [1, 2, 3, 4, 5, 6]), x])
      let sum = graph.node("Add", [scaled, try graph.weight("t", [1, 6, 1, 1], [1, -2, 3])])
      return graph.node("Add", [sum, try graph.weight("u", [], [7])])
    }
  }

  @Test("a term per column stays")
  func perColumn() throws {
    try folded(["Conv", "Add"]) { graph, x in
      graph.node("Add", [x, try graph.weight("t", [6], [1, 2, 3, 4, 5, 6])])
    }
  }

  @Test("a convolution that others read stays")
  func readTwice() throws {
    try folded(["Conv", "Mul", "Add"]) { graph, x in
      graph.node("Add", [graph.node("Mul", [x, try graph.weight("s", [], [2])]), x])
    }
  }
}
