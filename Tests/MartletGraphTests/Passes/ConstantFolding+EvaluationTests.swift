import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct ConstantFoldingEvaluationTests {
  @Test("a value that follows from constants is known, one that follows from an input is not")
  func values() throws {
    var graph = Graph(name: "values")
    var makers = ValueMakers()
    let x = graph.addInput("x", .float32, [.known(2)])
    let one = graph.addConstant("one", try Tensor.floats([1], [1]))
    let two = graph.node("Add", [one, one])
    try graph.inferNode(0)
    #expect(try graph.evaluate(two, &makers)?.floats == [2])
    #expect(try graph.evaluate(one, &makers)?.floats == [1])
    #expect(try graph.evaluate(x, &makers) == nil)
    // Nodes and values that are added later are seen.
    let three = graph.node("Add", [two, one])
    let sum = graph.node("Add", [three, x])
    let size = graph.node("Size", [sum])
    for index in 1..<graph.nodes.count { try graph.inferNode(index) }
    #expect(try graph.evaluate(three, &makers)?.floats == [3])
    #expect(try graph.evaluate(sum, &makers) == nil)
    #expect(try graph.evaluate(size, &makers)?.rank == 0)
    #expect(graph.nodes.count == 4 && graph.values[three].constant == nil)
  }

  @Test("what hangs on more nodes than are followed is not known")
  func manyNodes() throws {
    var graph = Graph(name: "many")
    var makers = ValueMakers()
    var value = graph.addConstant("one", try Tensor.floats([1], [1]))
    var early = value
    for index in 0..<5_000 {
      value = graph.node("Neg", [value])
      try graph.inferNode(index)
      if index == 99 { early = value }
    }
    #expect(try graph.evaluate(early, &makers)?.floats == [1])
    #expect(try graph.evaluate(value, &makers) == nil)
  }
}
