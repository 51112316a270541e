import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct PlanTests {
  /// Two products with one weight, and what they come to.
  private func tied() throws -> Graph {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(16)])
    let w = graph.addConstant("w", try Tensor.noise([16, 16]))
    graph.output(graph.node("MatMul", [graph.node("Relu", [graph.node("MatMul", [x, w])]), w]))
    try graph.inferTypes()
    return graph
  }

  @Test("constants are prepared while the plan is made, once for all nodes and contexts")
  func shared() throws {
    let plan = try Plan(tied(), preparing: Preparation(mode: .fp32))
    let bytes = plan.prepared.byteCount
    #expect(plan.prepared.count == 1)
    #expect(bytes >= 16 * 16 * 4)
    let x = try Tensor.noise([3, 16], seed: 2)
    for _ in 0..<2 { _ = try Executor(plan).run([x]) }
    #expect(plan.prepared.count == 1)
    #expect(plan.prepared.byteCount == bytes)
  }

  @Test("unasked, constants are prepared by the first run that needs them, with the same bits")
  func lazily() throws {
    let plan = try Plan(tied())
    #expect(plan.prepared.count == 0)
    let x = try Tensor.noise([3, 16], seed: 2)
    let result = try Executor(plan).run([x])[0]
    #expect(plan.prepared.count == 1)
    let other = try Plan(tied(), preparing: Preparation(mode: .fp32))
    #expect(try Executor(other).run([x])[0].floats == result.floats)
  }

  @Test("constants of nodes inside regions belong to the plan too")
  func regions() throws {
    var then = Graph(name: "then")
    let w = then.addConstant("w", try Tensor.noise([16, 16]))
    let x = then.addInput("x", .float32, [.known(3), .known(16)])
    then.output(then.node("MatMul", [x, w]))
    var other = Graph(name: "else")
    let same = other.addInput("x", .float32, [.known(3), .known(16)])
    other.output(other.node("Relu", [same]))
    var graph = Graph()
    let flag = graph.addInput("flag", .bool, [])
    let outer = graph.addInput("x", .float32, [.known(3), .known(16)])
    let y = graph.addNode(
      "If", name: "if", inputs: [flag], outputs: ["y"],
      regions: [
        Region(name: "then_branch", graph: then, captures: [outer]),
        Region(name: "else_branch", graph: other, captures: [outer]),
      ])[0]
    graph.output(y)
    try graph.inferTypes()
    let plan = try Plan(graph, preparing: Preparation(mode: .fp32))
    #expect(plan.prepared.count == 1)
  }

  @Test("preparing may be cancelled at each node")
  func cancelled() throws {
    var stages: [Int] = []
    let error = martletError {
      _ = try Plan(
        tied(), preparing: Preparation(mode: .fp32),
        progress: { progress in
          stages.append(progress.completed)
          return progress.completed < 1
        })
    }
    #expect(error?.code == .cancelled)
    #expect(stages == [0, 1])
  }
}
