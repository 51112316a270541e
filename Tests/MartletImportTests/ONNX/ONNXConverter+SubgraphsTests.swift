import MartletCore
import MartletGraph
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct ONNXConverterSubgraphsTests {
  private let inputs = [ONNXEncoder.value("c", 9, []), ONNXEncoder.value("x", 1, ["2"])]
  private let output = ONNXEncoder.value("y", 1, nil)

  private func branch(
    _ nodes: [Message], _ output: String = "r", initializers: [Message] = []
  ) -> Message {
    ONNXEncoder.graph(
      nodes, outputs: [ONNXEncoder.value(output, 1, nil)], initializers: initializers)
  }

  private func choice(_ then: Message, _ other: Message? = nil, _ result: String = "y") -> Message {
    ONNXEncoder.node(
      "If", ["c"], [result], name: "choice",
      [("then_branch", .graph(then)), ("else_branch", .graph(other ?? then))])
  }

  private func read(
    _ nodes: [Message], initializers: [Message] = [], functions: [Message] = []
  ) throws -> Graph {
    let bytes = ONNXEncoder.model(
      ONNXEncoder.graph(nodes, inputs: inputs, outputs: [output], initializers: initializers),
      domains: functions.isEmpty ? [] : ["mine"], functions: functions)
    let source = try bytes.withUnsafeBytes { try ModelSource(bytes: $0, borrowed: false) }
    var graph = try ONNXImporter.read(source, progress: nil).graph
    try graph.verify()
    try graph.inferTypes()
    return graph
  }

  @Test("all graphs of a model draw on one budget of inference") func oneBudget() throws {
    let inner = branch([choice(branch([ONNXEncoder.node("Neg", ["x"], ["r"])]), nil, "r")])
    let graph = try read([choice(inner)])
    #expect(graph.inferenceBudget != nil)
    let regions = graph.nodes.flatMap(\.regions)
    #expect(!regions.isEmpty)
    for region in regions + regions.flatMap({ $0.graph.nodes.flatMap(\.regions) }) {
      #expect(region.graph.inferenceBudget === graph.inferenceBudget)
    }
  }

  private func error(_ nodes: [Message]) -> MartletError? {
    let error = martletError { _ = try read(nodes) }
    #expect(error?.code == .invalidModel)
    return error
  }

  /// What the node's region reads from outside, by name.
  private func captures(_ graph: Graph, _ node: Int, _ region: Int = 0) -> [String] {
    graph.nodes[node].regions[region].captures.map { graph.values[$0].name }
  }

  @Test("branches become regions; what they read outside is captured, constants are copied")
  func branches() throws {
    let graph = try read(
      [
        choice(
          branch([ONNXEncoder.node("Mul", ["h", "w"], ["r"])]),
          branch([ONNXEncoder.node("Relu", ["x"], ["r"])])),
        ONNXEncoder.node("Neg", ["x"], ["h"]),
      ], initializers: [ONNXEncoder.floats("w", [2], [1, 2])])
    #expect(graph.nodes.map(\.op) == ["Neg", "If"])
    #expect(graph.nodes[1].regions.map(\.name) == ["else_branch", "then_branch"])
    #expect(captures(graph, 1, 0) == ["x"])
    #expect(captures(graph, 1, 1) == ["h"])
    let inner = graph.nodes[1].regions[1].graph
    let weight = try #require(inner.values.first { $0.name == "w" }?.constant)
    #expect(weight.storage === graph.values.first { $0.name == "w" }?.constant?.storage)
    #expect(inner.values[inner.outputs[0].value].type.text == "float32[2]")
  }

  @Test("a name is captured through all graphs in between, once in each")
  func nesting() throws {
    let inner = choice(
      branch([ONNXEncoder.node("Add", ["h", "h"], ["p"])], "p"),
      branch([ONNXEncoder.node("Neg", ["l"], ["p"])], "p"), "q")
    let middle = branch([
      ONNXEncoder.node("Add", ["q", "h"], ["r"]), inner, ONNXEncoder.node("Abs", ["x"], ["l"]),
    ])
    let graph = try read([ONNXEncoder.node("Neg", ["x"], ["h"]), choice(middle)])
    #expect(captures(graph, 1) == ["c", "x", "h"] || captures(graph, 1) == ["x", "c", "h"])
    let region = graph.nodes[1].regions[0].graph
    #expect(Set(region.nodes.map(\.op).prefix(2)) == ["Abs", "If"])
    #expect(region.nodes.last?.op == "Add")
    let node = try #require(region.nodes.firstIndex { $0.op == "If" })
    #expect(captures(region, node, 0) == ["l"])
    #expect(captures(region, node, 1) == ["h"])
  }

  @Test("formal inputs keep dtype and rank, not extents, and may hide outer names") func formals()
    throws
  {
    let body = ONNXEncoder.graph(
      [ONNXEncoder.node("Neg", ["x"], ["r"])],
      inputs: [
        ONNXEncoder.value("i", 7, []), ONNXEncoder.value("c", 9, []),
        ONNXEncoder.value("x", 1, ["3"]),
      ],
      outputs: [ONNXEncoder.value("c", 9, nil), ONNXEncoder.value("r", 1, nil)])
    let graph = try read([
      ONNXEncoder.node("Loop", ["", "", "x"], ["y"], name: "loop", [("body", .graph(body))])
    ])
    let region = graph.nodes[0].regions[0]
    #expect(region.captures.isEmpty)
    let types = region.graph.inputs.map { region.graph.values[$0].type.text }
    #expect(types == ["int64[]", "bool[]", "float32[2]"])
  }

  @Test("names that exist nowhere or twice, and circles, are refused by name") func names() {
    let unmade = error([choice(branch([ONNXEncoder.node("Neg", ["q"], ["r"], name: "inner")]))])
    #expect(unmade?.node == "inner")
    #expect(unmade?.input == "q")
    let noOutput = error([choice(branch([ONNXEncoder.node("Neg", ["x"], ["r"])], "z"))])
    #expect(noOutput?.node == "choice")
    #expect(noOutput?.input == "z")
    let hidden = error([choice(branch([ONNXEncoder.node("Neg", ["x"], ["x"])], "x"))])
    #expect(hidden?.message.contains("'x' is made twice") == true)
    let circle = error([
      choice(
        branch([
          ONNXEncoder.node("Add", ["x", "b"], ["r"]), ONNXEncoder.node("Neg", ["r"], ["b"]),
        ]))
    ])
    #expect(circle?.message.contains("cycle") == true)
    let outer = error([choice(branch([ONNXEncoder.node("Neg", ["y"], ["r"])]))])
    #expect(outer?.message.contains("cycle") == true)
    let twice = ONNXEncoder.graph(
      [ONNXEncoder.node("Neg", ["a"], ["r"])],
      inputs: [ONNXEncoder.value("a", 1, []), ONNXEncoder.value("a", 1, [])],
      outputs: [ONNXEncoder.value("r", 1, nil)])
    #expect(error([choice(twice)])?.message.contains("two inputs are named 'a'") == true)
    let both = ONNXEncoder.graph(
      [ONNXEncoder.node("Neg", ["a"], ["r"])], inputs: [ONNXEncoder.value("a", 1, [])],
      outputs: [ONNXEncoder.value("r", 1, nil)], initializers: [ONNXEncoder.floats("a", [1], [1])])
    #expect(error([choice(both)])?.input == "a")
  }

  @Test("a function's regions see the function's names and attributes, not its caller's")
  func functions() throws {
    func function(_ read: String) -> Message {
      let scaled = Message.build { node in
        node.string(1, read)
        node.string(2, "r")
        node.string(4, "LeakyRelu")
        node.message(
          5,
          Message.build {
            $0.string(1, "alpha")
            $0.string(21, "slope")
            $0.integer(20, 1)
          })
      }
      return Message.build {
        $0.string(1, "Pick")
        $0.string(4, "c")
        $0.string(4, "a")
        $0.string(5, "y")
        $0.string(6, "slope")
        $0.message(7, choice(branch([scaled])))
        $0.message(9, Message.build { $0.integer(2, 21) })
        $0.string(10, "mine")
      }
    }
    let call = [
      ONNXEncoder.node("Pick", ["c", "x"], ["y"], domain: "mine", [("slope", .float(0.5))])
    ]
    let graph = try read(call, functions: [function("a")])
    let region = graph.nodes[0].regions[0]
    #expect(region.captures == [graph.inputs[1]])
    guard case .float(0.5)? = region.graph.nodes[0].attributes["alpha"] else {
      Issue.record("\(region.graph)")
      return
    }
    let hidden = martletError { _ = try read(call, functions: [function("x")]) }
    #expect(hidden?.input == "x")
  }

  @Test("subgraphs nest 64 levels deep and no deeper") func depth() throws {
    let plain = branch([ONNXEncoder.node("Abs", ["x"], ["e"])], "e")
    func nested(_ depth: Int) -> Message {
      var graph = branch([ONNXEncoder.node("Neg", ["x"], ["r0"])], "r0")
      for level in 1..<depth {
        graph = branch([choice(graph, plain, "r\(level)")], "r\(level)")
      }
      return graph
    }
    let graph = try read([choice(nested(64), plain)])
    #expect(graph.nodes[0].regions[1].captures.count == 2)
    #expect(error([choice(nested(65), plain)])?.message.contains("nested deeper than 64") == true)
  }
}
