import MartletCore
import MartletOperators

@testable import MartletGraph

/// A choice between two regions without inputs, as `If`; types only.
struct TestChoice: Operator {
  static let schema = OperatorSchema(name: "TestChoice", inputs: ["cond"])
  private let regions: [any RegionDescription]

  init(_ node: OperatorNode) throws(MartletError) { regions = node.regions }

  func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let first = regions.first else { return [.unknown()] }
    var types = try first.infer([])
    for region in regions.dropFirst() {
      types = zip(types, try region.infer([])).map { $0.common($1) }
    }
    return types
  }

  func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    throw MartletError(.unsupported, "TestChoice does not run")
  }
}

/// A loop that carries its inputs through its body; types only, of what all iterations have in common.
struct TestLoop: Operator {
  static let schema = OperatorSchema(
    name: "TestLoop", inputs: ["carried"], requiredInputs: 0, isVariadic: true)
  private let body: (any RegionDescription)?

  init(_ node: OperatorNode) throws(MartletError) { body = node.region("body") }

  func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let body else { return [] }
    let first = inputs.map { $0 ?? .unknown() }
    let carried = zip(first, try body.infer(first)).map { $0.common($1) }
    _ = try body.infer(carried)
    return carried
  }

  func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    throw MartletError(.unsupported, "TestLoop does not run")
  }
}

extension ValueType {
  /// What holds of both.
  fileprivate func common(_ other: ValueType) -> ValueType {
    var result = ValueType(dtype: dtype == other.dtype ? dtype : nil, shape: nil)
    if let shape, let otherShape = other.shape, shape.count == otherShape.count {
      result.shape = zip(shape, otherShape).map { $0 == $1 ? $0 : .unknown }
    }
    return result
  }
}

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

  /// Adds a choice between branches and gives its result.
  mutating func choice(_ condition: ValueID, _ branches: [Region]) -> ValueID {
    OperatorTable.add(TestChoice.self)
    let name = "Choice\(nodes.count)"
    return addNode(
      "TestChoice", name: name, inputs: [condition], outputs: [name], regions: branches)[0]
  }

  mutating func loop(_ carried: [ValueID], _ body: Region) -> [ValueID] {
    OperatorTable.add(TestLoop.self)
    let name = "Loop\(nodes.count)"
    return addNode(
      "TestLoop", name: name, inputs: carried, outputs: carried.indices.map { "\(name)_\($0)" },
      regions: [body])
  }

  /// Graphs within graphs, `depth` levels, each with one loop that asks twice what is inside.
  static func nested(_ depth: Int) -> Graph {
    var graph = Graph(name: "level \(depth)")
    let x = graph.addInput("x", .float32, [.known(depth + 1)])
    if depth == 0 {
      graph.output(graph.node("Concat", [x, x], ["axis": .int(0)]))
    } else {
      let body = Region(name: "body", graph: nested(depth - 1))
      let doubled = graph.node("Concat", [x, x], ["axis": .int(0)])
      graph.output(graph.loop([doubled], body)[0])
    }
    return graph
  }
}
