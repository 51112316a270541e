import MartletCore
import MartletOperators

@testable import MartletGraph

extension Graph {
  /// A region named `name` that `build` fills: it is given the inner inputs, formal ones first, and
  /// gives the outputs.
  static func region(
    _ name: String, formals: Int = 0, captures: [ValueID] = [],
    _ build: (inout Graph, [ValueID]) throws -> [ValueID]
  ) rethrows -> Region {
    var graph = Graph(name: name)
    var inputs: [ValueID] = []
    for index in 0..<formals + captures.count {
      inputs.append(graph.addInput("\(name)_in\(index)", nil, nil))
    }
    for id in try build(&graph, inputs) { graph.output(id) }
    return Region(name: name, graph: graph, captures: captures)
  }

  /// Adds an If between branches and gives its result; for a branch that is not given stands a
  /// constant.
  mutating func choice(_ condition: ValueID, _ branches: [Region]) throws -> ValueID {
    let name = "Choice\(nodes.count)"
    var branches = branches
    for missing in ["then_branch", "else_branch"]
    where !branches.contains(where: { $0.name == missing }) {
      let zero = try Tensor.floats([], [0])
      branches.append(Graph.region(missing) { inner, _ in [inner.addConstant("zero", zero)] })
    }
    return addNode(
      "If", name: name, inputs: [condition], outputs: [name], regions: branches)[0]
  }

  /// The body of a Loop: `build` gives the next values from those carried, before the captures.
  static func body(
    carried: Int, _ build: (inout Graph, [ValueID]) -> [ValueID]
  ) -> Region {
    region("body", formals: carried + 2) { [$1[1]] + build(&$0, Array($1.dropFirst(2))) }
  }

  /// Adds a Loop without a bound and gives the last of its carried values.
  mutating func loop(_ carried: [ValueID], _ body: Region) -> [ValueID] {
    let name = "Loop\(nodes.count)"
    return addNode(
      "Loop", name: name, inputs: [nil, nil] + carried,
      outputs: carried.indices.map { "\(name)_\($0)" }, regions: [body])
  }

  /// Graphs within graphs, `depth` levels, each with one loop that asks more than once what is inside;
  /// each has the inputs and outputs of a loop's body.
  static func nested(_ depth: Int) -> Graph {
    var graph = Graph(name: "level \(depth)")
    _ = graph.addInput("i", .int64, [])
    let goesOn = graph.addInput("go", .bool, [])
    let x = graph.addInput("x", .float32, [.known(depth + 1)])
    graph.output(goesOn)
    let doubled = graph.node("Concat", [x, x], ["axis": .int(0)])
    if depth == 0 {
      graph.output(doubled)
    } else {
      let body = Region(name: "body", graph: nested(depth - 1))
      graph.output(graph.loop([doubled], body)[0])
    }
    return graph
  }
}
