import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct LayerNormRecognitionTests {
  private func graph(axis: Int, usesPower: Bool) throws -> Graph {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(3), .known(8)])
    let axes = graph.addConstant("axes", try .int64s([axis]))
    let mean = graph.node("ReduceMean", [x, axes])
    let d = graph.node("Sub", [x, mean])
    let square =
      usesPower
      ? graph.node("Pow", [d, try graph.weight("two", [], [2])]) : graph.node("Mul", [d, d])
    let variance = graph.node("ReduceMean", [square, axes])
    let sum = graph.node("Add", [variance, try graph.weight("eps", [1], [1e-5])])
    let normal = graph.node("Div", [d, graph.node("Sqrt", [sum])])
    let scaled = graph.node("Mul", [normal, try graph.weight("g", [8], [1, 2, 3])])
    graph.output(graph.node("Add", [scaled, try graph.weight("b", [8], [4, 5])]))
    return graph
  }

  @Test("layer normalisation over the last axis is recognised", arguments: [2, -1], [true, false])
  func recognized(axis: Int, usesPower: Bool) throws {
    let graph = try graph(axis: axis, usesPower: usesPower)
    let after = try graph.after(LayerNormRecognition.pass)
    #expect(after.operatorNames == ["LayerNormalization"])
    try graph.expectSame(as: after, [.noise([2, 3, 8])], tolerance: 1e-5)
  }

  @Test("over another axis it stays")
  func otherAxis() throws {
    let graph = try graph(axis: 1, usesPower: true)
    #expect(try graph.after(LayerNormRecognition.pass).nodes.count == graph.nodes.count)
  }
}
