import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct VerificationTests {
  private func sample() throws -> Graph {
    var graph = Graph(name: "sample")
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(2)])
    let w = try graph.weight("w", [2], [1, 2])
    graph.output(graph.node("Mul", [graph.node("Add", [x, w]), w]))
    try graph.inferTypes()
    return graph
  }

  /// The message for the graph after a change; nil where it is fine.
  private func fault(_ change: (inout Graph) -> Void) throws -> String? {
    var graph = try sample()
    change(&graph)
    do {
      try graph.verify()
      return nil
    } catch {
      #expect(error.code == .invalidModel)
      return error.message
    }
  }

  @Test("a sound graph passes, and each fault is named") func faults() throws {
    #expect(try fault { _ in } == nil)
    #expect(try fault { $0.nodes[0].inputs[0] = 99 }?.contains("%99") == true)
    #expect(try fault { $0.nodes[0].inputs[0] = -1 }?.contains("%-1") == true)
    #expect(try fault { $0.nodes[1].outputs = [99] }?.contains("%99") == true)
    #expect(try fault { $0.nodes[1].outputs = $0.nodes[0].outputs }?.contains("twice") == true)
    #expect(try fault { $0.nodes[1].outputs = $0.inputs }?.contains("twice") == true)
    #expect(try fault { $0.inputs.append($0.inputs[0]) }?.contains("twice") == true)
    #expect(try fault { $0.nodes.swapAt(0, 1) }?.contains("before it is made") == true)
    #expect(try fault { $0.nodes.remove(at: 0) }?.contains("nothing makes") == true)
    #expect(try fault { $0.outputs[0].value = 99 }?.contains("%99") == true)
    #expect(try fault { $0.outputs[0].value = $0.addValue("q") }?.contains("is not made") == true)
    #expect(
      try fault { $0.values[$0.nodes[0].outputs[0]].type.dtype = .int8 }?.contains("int8") == true)
    #expect(
      try fault { $0.values[$0.nodes[1].outputs[0]].type.shape = [.symbol("n"), .known(3)] }?
        .contains("[n, 3]") == true)
    #expect(try fault { $0.values[1].type.shape = [.known(3)] }?.contains("constant 'w'") == true)
  }

  @Test("captures that fit no input, or another type, are named") func captures() throws {
    var graph = Graph()
    let c = graph.addInput("c", .bool, [])
    let x = graph.addInput("x", .float32, [.known(2)])
    let branch = Graph.region("then_branch", captures: [x]) { _, inputs in [inputs[0]] }
    graph.output(try graph.choice(c, [branch]))
    try graph.inferTypes()
    try graph.verify()
    var wrong = graph
    wrong.nodes[0].regions[0].graph.values[0].type.dtype = .int8
    #expect(martletError { try wrong.verify() }?.message.contains("captures value 'x'") == true)
    var many = graph
    many.nodes[0].regions[0].captures = [x, x]
    #expect(martletError { try many.verify() }?.message.contains("2 captures") == true)
    var twice = graph
    twice.nodes[0].regions.append(branch)
    #expect(martletError { try twice.verify() }?.message.contains("two regions") == true)
    var unmade = graph
    unmade.nodes[0].regions[0].captures = [77]
    #expect(martletError { try unmade.verify() }?.node == "Choice0")
  }

  @Test("a pass that leaves a faulty graph is named") func passes() throws {
    var graph = try sample()
    let broken = Pass("broken") { $0.values[$0.nodes[1].outputs[0]].type.dtype = .int8 }
    let error = martletError { try broken.apply(&graph) }
    #expect(error?.code == .internalError)
    #expect(error?.message.contains("'broken'") == true)
  }
}
