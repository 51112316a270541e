import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct IfTests {
  @Test("the branch that the condition says runs, with values from around it")
  func branches() throws {
    var graph = Graph()
    let cond = graph.addInput("cond", .bool, [])
    let x = graph.addInput("x", .float32, [.symbol("n")])
    let branches = [("else_branch", "Neg"), ("then_branch", "Abs")].map { name, operatorName in
      Graph.region(name, captures: [x]) { [$0.node(operatorName, [$1[0]])] }
    }
    let result = graph.addNode(
      "If", name: "if", inputs: [cond], outputs: ["y"], regions: branches)[0]
    graph.output(graph.node("Neg", [result]))
    try graph.inferTypes()
    #expect(graph.values[result].type.text == "float32[n]")
    let input = try Tensor.floats([2], [-3, 4])
    #expect(try graph.run([try Tensor.flag(true), input])[0].floats == [-3, -4])
    #expect(try graph.run([try Tensor.flag(false), input])[0].floats == [-3, 4])
    // One executor, branches in turn: what was laid out for one run holds in the next.
    let executor = Executor(try Plan(graph))
    for round in 0..<6 {
      let values = try executor.run([try Tensor.flag(round % 2 == 0), input])[0].floats
      #expect(values == (round % 2 == 0 ? [-3, -4] : [-3, 4]))
    }
  }

  @Test("a constant that a branch gives is copied for the caller") func constantBranch() throws {
    var graph = Graph()
    let cond = graph.addInput("cond", .bool, [])
    let weights = [try Tensor.floats([2], [1, 2]), try Tensor.floats([2], [3, 4])]
    let branches = zip(["else_branch", "then_branch"], weights).map { name, weight in
      Graph.region(name) { inner, _ in [inner.addConstant("w", weight)] }
    }
    graph.output(
      graph.addNode("If", name: "if", inputs: [cond], outputs: ["y"], regions: branches)[0])
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for _ in 0..<3 {
      let result = try executor.run([try Tensor.flag(true)])[0]
      #expect(result.floats == [3, 4])
      #expect(!weights.contains { $0.overlaps(result) })
      result.typed(Float.self)[0] = 9
    }
  }
}
