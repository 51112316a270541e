import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct RegionTests {
  private func base() -> (graph: Graph, condition: ValueID, x: ValueID) {
    var graph = Graph(name: "main")
    let condition = graph.addInput("c", .bool, [])
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(4)])
    return (graph, condition, x)
  }

  @Test("what a region captures counts as read by its node, and is replaced in it")
  func captures() throws {
    var (graph, condition, x) = base()
    let hidden = graph.node("Neg", [x])
    let branch = Graph.region("then_branch", captures: [hidden, x]) { inner, inputs in
      [inner.node("Add", [inputs[0], inputs[1]])]
    }
    graph.output(try graph.choice(condition, [branch]))
    #expect(graph.useCounts()[hidden] == 1)
    #expect(graph.useCounts()[x] == 2)
    #expect(graph.nodes[1].reads == [condition, hidden, x])
    graph.nodes[1].replaceReads { $0 == hidden ? x : $0 }
    #expect(graph.nodes[1].regions[0].captures == [x, x])
    #expect(graph.useCounts()[hidden] == 0)
  }

  @Test("a node stands after what its regions capture")
  func order() throws {
    var (graph, condition, x) = base()
    let result = graph.addValue("result")
    let late = graph.addValue("late")
    let branch = Graph.region("then_branch", captures: [late]) { _, inputs in [inputs[0]] }
    graph.output(try graph.choice(condition, [branch]))
    graph.nodes[0].outputs = [result]
    graph.nodes.append(Node(name: "maker", op: "Neg", inputs: [x], outputs: [late]))
    graph.outputs[0].value = result
    #expect(!graph.isTopological)
    #expect(martletError { try graph.verify(types: false) }?.message.contains("before") == true)
    try graph.sortTopologically()
    #expect(graph.nodes.map(\.name) == ["maker", "Choice0"])
    try graph.verify()
  }

  @Test("a cycle through a capture is found")
  func cycle() throws {
    var (graph, condition, _) = base()
    let result = graph.addValue("result")
    let branch = Graph.region("then_branch", captures: [result]) { _, inputs in [inputs[0]] }
    graph.output(try graph.choice(condition, [branch]))
    graph.nodes[0].outputs = [result]
    #expect(martletError { try graph.sortTopologically() }?.message.contains("cycle") == true)
    #expect(martletError { try graph.verify(types: false) }?.message.contains("cycle") == true)
  }

  @Test("types go into a region through its captures and come out through its outputs")
  func types() throws {
    var (graph, condition, x) = base()
    let branches = [("Transpose", "then_branch"), ("Neg", "else_branch")].map { name, region in
      Graph.region(region, captures: [x]) { inner, inputs in [inner.node(name, [inputs[0]])] }
    }
    let choice = try graph.choice(condition, branches)
    graph.output(choice)
    try graph.inferTypes()
    let inner = graph.nodes[0].regions[0].graph
    #expect(inner.values[inner.outputs[0].value].type.text == "float32[4, n]")
    #expect(graph.values[choice].type.text == "float32[?, ?]")
    try graph.verify()
  }

  @Test("what the body of a loop is told last is what is known inside")
  func generalization() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(1), .known(4)])
    let body = Graph.body(carried: 1) { inner, carried in
      [inner.node("Concat", [carried[0], carried[0]], ["axis": .int(0)])]
    }
    let carried = graph.loop([x], body)[0]
    graph.output(carried)
    for _ in 0..<2 {
      try graph.inferTypes()
      #expect(graph.values[carried].type.text == "float32[?, 4]")
      let inner = graph.nodes[0].regions[0].graph
      #expect(inner.values[inner.inputs[2]].type.text == "float32[?, 4]")
    }
  }

  @Test("a captured value that becomes a constant becomes a constant of the region")
  func constants() throws {
    var (graph, condition, x) = base()
    let two = try graph.weight("two", [], [2])
    let four = graph.node("Mul", [two, two])
    let branch = Graph.region("then_branch", captures: [four, x]) { inner, inputs in
      [inner.node("Mul", [inputs[1], inner.node("Neg", [inputs[0]])])]
    }
    graph.output(try graph.choice(condition, [branch]))
    let folded = try graph.after(ConstantFolding.pass)
    #expect(folded.operatorNames == ["If"])
    #expect(folded.nodes[0].regions[0].captures == [x])
    #expect(folded.nodes[0].regions[0].graph.operatorNames == ["Mul"])
  }

  @Test("passes rewrite what is inside; what is no longer captured is no longer computed")
  func passes() throws {
    var (graph, condition, x) = base()
    let unused = graph.node("Abs", [x])
    let same = graph.node("Identity", [x])
    let branch = Graph.region("then_branch", captures: [unused, same]) { inner, inputs in
      _ = inner.node("Neg", [inputs[0]])
      return [inner.node("Identity", [inner.node("Neg", [inputs[1]])])]
    }
    graph.output(try graph.choice(condition, [branch]))
    let cleaned = try graph.after(IdentityRemoval.pass, DeadCode.pass)
    #expect(cleaned.operatorNames == ["If"])
    #expect(cleaned.nodes[0].regions[0].graph.operatorNames == ["Neg"])
    #expect(cleaned.nodes[0].regions[0].captures == [x])
    #expect(cleaned.nodeCount == 2)
  }

  @Test("a plan gives a node what its regions capture, after its inputs")
  func plan() throws {
    var (graph, condition, x) = base()
    let hidden = graph.node("Neg", [x])
    let branch = Graph.region("then_branch", captures: [hidden, x]) { _, inputs in [inputs[0]] }
    graph.output(try graph.choice(condition, [branch]))
    try graph.inferTypes()
    let plan = try Plan(graph)
    #expect(plan.nodes[1].operands.count == 3)
    #expect(plan.readers[0].map(\.node) == [1])
    #expect(plan.readers[0].map(\.position) == [1])
    #expect(plan.inputReaders[1].map(\.node) == [0, 1])
    #expect(plan.inputReaders[1].map(\.position) == [0, 2])
  }

  @Test("nodes with regions are not shared; what they capture is")
  func sharing() throws {
    var (graph, condition, x) = base()
    var results: [ValueID] = []
    for _ in 0..<2 {
      let negative = graph.node("Neg", [x])
      let branch = Graph.region("then_branch", captures: [negative]) { _, inputs in [inputs[0]] }
      results.append(try graph.choice(condition, [branch]))
    }
    graph.output(graph.node("Add", [results[0], results[1]]))
    let shared = try graph.after(CommonSubexpressions.pass)
    #expect(shared.operatorNames == ["Neg", "If", "If", "Add"])
  }

  @Test("graphs nest 64 levels deep and no deeper, and are not asked without end")
  func depth() throws {
    var deep = Graph.nested(64)
    try deep.inferTypes()
    _ = try PassTable.optimize(&deep, level: 1)
    var deeper = Graph.nested(65)
    #expect(martletError { try deeper.inferTypes() }?.code == .invalidModel)
    #expect(martletError { try deeper.verify(types: false) }?.message.contains("64") == true)
  }

  @Test("what a load asks inside regions draws on one budget") func oneBudget() throws {
    var graph = Graph.nested(6)
    graph.shareInferenceBudget()
    let budget = try #require(graph.inferenceBudget)
    _ = try PassTable.optimize(&graph, level: 1)
    func isShared(_ graph: Graph) -> Bool {
      graph.inferenceBudget === budget
        && graph.nodes.allSatisfy { $0.regions.allSatisfy { isShared($0.graph) } }
    }
    #expect(isShared(graph))
    // Once it is spent, a graph is still right.
    while budget.take() {}
    var spent = Graph.nested(6)
    spent.inferenceBudget = budget
    try spent.inferTypes()
    #expect(spent.values[spent.outputs[1].value].type.dtype == .float32)
  }

  @Test("a region whose inputs do not fit is refused, naming node and region")
  func counts() {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(1)])
    graph.output(graph.loop([x], Graph.body(carried: 2) { $1 })[0])
    let error = martletError { try graph.inferTypes() }
    #expect(error?.code == .invalidModel)
    #expect(error?.node == "Loop0")
    #expect(error?.message.contains("the body takes 4 inputs") == true)
  }
}
