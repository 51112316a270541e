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

  @Test("what a run's results take is known before it, and what it took after it")
  func memory() throws {
    let plan = try Plan(tied(), preparing: Preparation(mode: .fp32))
    #expect(plan.memory.constants == 16 * 16 * 4)
    #expect(plan.memory.mapped == 0)
    #expect(plan.memory.prepared == plan.prepared.byteCount)
    #expect(plan.memory.arena == 0)
    // Two results at once, of which one leaves the run; the Relu is written over its input.
    let rows = 64 * 16 * 4
    let expected = try #require(try plan.resultBytes([[64, 16]]))
    #expect(expected == 2 * rows)
    let executor = Executor(plan)
    let x = try Tensor.noise([64, 16], seed: 2)
    for _ in 0..<3 { _ = try executor.run([x]) }
    #expect(plan.memory.arena == expected - rows)
    #expect(plan.memory.peak >= expected)
    #expect(martletError { _ = try plan.resultBytes([[64, 17]]) }?.code == .invalidShape)
    #expect(martletError { _ = try plan.resultBytes([]) }?.code == .invalidArgument)
  }

  @Test("a node's scratch lies where nothing is in use while it runs")
  func scratch() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [1, 64, 64, 3].map { .known($0) })
    let w = graph.addConstant("w", try Tensor.noise([16, 3, 3, 3]))
    // The convolution reads its input in another order: a copy, which is scratch.
    let turned = graph.node("Transpose", [x], ["perm": .ints([0, 3, 1, 2])])
    let wide = graph.node("Conv", [turned, w], ["pads": .ints([1, 1, 1, 1])])
    let half = graph.node(
      "MaxPool", [wide], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
    graph.output(graph.node("Exp", [half]))
    try graph.inferTypes()
    let plan = try Plan(graph)
    let executor = Executor(plan)
    for _ in 0..<2 { _ = try executor.run([try Tensor.noise([1, 64, 64, 3])]) }
    #expect(plan.memory.arena == 16 * (64 * 64 + 32 * 32) * 4)
  }

  @Test("results whose shapes depend on data have no size before a run")
  func unknownMemory() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n")])
    graph.output(graph.node("NonZero", [x]))
    try graph.inferTypes()
    #expect(try Plan(graph).resultBytes([[8]]) == nil)
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
