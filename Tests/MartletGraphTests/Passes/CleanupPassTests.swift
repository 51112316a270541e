import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct CleanupPassTests {
  @Test("nodes on constants become constants")
  func folding() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(2)])
    let a = try graph.weight("a", [2], [1, 2])
    let sum = graph.node("Add", [a, a])
    graph.output(graph.node("Mul", [x, sum]))
    let folded = try graph.after(ConstantFolding.pass)
    #expect(folded.operatorNames == ["Mul"])
    try graph.expectSame(as: folded, [.noise([3, 2])])
  }

  @Test("shape arithmetic on a fixed shape is folded; on a free one it stays")
  func shapes() throws {
    for dims in [[Dimension.known(4), .known(6)], [.symbol("n"), .known(6)]] {
      var graph = Graph()
      let x = graph.addInput("x", .float32, dims)
      let shape = graph.node("Shape", [x])
      graph.output(graph.node("Reshape", [x, shape]))
      let folded = try graph.after(ConstantFolding.pass)
      #expect(folded.nodes.count == (dims[0] == .known(4) ? 1 : 2))
      try graph.expectSame(as: folded, [.noise([4, 6])])
    }
  }

  @Test("a large result of small inputs stays a node")
  func sizeBound() throws {
    var graph = Graph()
    let small = try graph.weight("s", [1, 1], [3])
    let shape = graph.addConstant("shape", try .int64s([2000, 2000]))
    graph.output(graph.node("Expand", [small, shape]))
    #expect(try graph.after(ConstantFolding.pass).operatorNames == ["Expand"])
  }

  @Test("a node whose folding fails stays and fails in the run")
  func failingFold() throws {
    var graph = Graph()
    let a = try graph.weight("a", [2], [1])
    let axes = graph.addConstant("axes", try .int64s([9]))
    graph.output(graph.node("Unsqueeze", [a, axes]))
    let error = martletError { _ = try graph.after(ConstantFolding.pass).run([]) }
    #expect(error?.node == "Unsqueeze0")
  }

  @Test("what nothing reads is removed")
  func deadCode() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(2)])
    let dead = graph.node("Neg", [x])
    _ = graph.node("Neg", [dead])
    graph.output(graph.node("Abs", [x]))
    #expect(try graph.after(DeadCode.pass).operatorNames == ["Abs"])
  }

  @Test("identities go, also in a row and before an output")
  func identities() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(2)])
    let zero = try graph.weight("zero", [], [0])
    let one = try graph.weight("one", [1], [1])
    let a = graph.node("Identity", [x])
    let b = graph.node("Add", [a, zero])
    let c = graph.node("Mul", [one, b])
    let d = graph.node("Cast", [c], ["to": .int(1)])
    let e = graph.node("Neg", [d])
    graph.output(graph.node("Identity", [e]))
    let cleaned = try graph.after(IdentityRemoval.pass)
    #expect(cleaned.operatorNames == ["Neg"])
    #expect(cleaned.outputs[0].name == "Identity5")
    try graph.expectSame(as: cleaned, [.noise([3, 2])])
  }

  @Test("what is no identity stays: 0 - x, 1 / x, a constant of higher rank")
  func notIdentities() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(2)])
    let zero = try graph.weight("zero", [], [0])
    let one = try graph.weight("one", [], [1])
    let tall = try graph.weight("tall", [1, 1, 1], [0])
    graph.output(graph.node("Sub", [zero, x]))
    graph.output(graph.node("Div", [one, x]))
    graph.output(graph.node("Add", [x, tall]))
    let cleaned = try graph.after(IdentityRemoval.pass)
    #expect(cleaned.nodes.count == 3)
    try graph.expectSame(as: cleaned, [.floats([2], [1, 2])])
  }

  @Test("equal nodes are computed once, whatever constants they name")
  func commonSubexpressions() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(4)])
    let a = graph.node("Mul", [x, try graph.weight("two", [], [2])])
    let b = graph.node("Mul", [x, try graph.weight("zwei", [], [2])])
    let c = graph.node("Mul", [x, try graph.weight("three", [], [3])])
    graph.output(graph.node("Add", [a, b]))
    graph.output(graph.node("Add", [graph.node("Neg", [a]), graph.node("Neg", [b])]))
    graph.output(c)
    let shared = try graph.after(CommonSubexpressions.pass)
    #expect(shared.operatorNames.filter { $0 == "Mul" }.count == 2)
    #expect(shared.operatorNames.filter { $0 == "Neg" }.count == 1)
    try graph.expectSame(as: shared, [.noise([4])])
  }

  @Test("nodes that differ in an attribute are both kept")
  func differentAttributes() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(4)])
    graph.output(graph.node("LeakyRelu", [x], ["alpha": .float(0.1)]))
    graph.output(graph.node("LeakyRelu", [x], ["alpha": .float(0.2)]))
    #expect(try graph.after(CommonSubexpressions.pass).nodes.count == 2)
  }
}
