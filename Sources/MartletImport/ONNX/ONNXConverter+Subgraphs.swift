import MartletCore
import MartletGraph
import MartletOperators

/// A graph whose conversion waits for that of a subgraph inside it.
struct EnclosingGraph {
  var graph: Graph
  var scope: [String: ValueID]
  var captures: [ValueID]
  var makers: ValueMakers
}

/// Functions, whose nodes take the place of a call, and subgraphs, which become regions of their node.
extension ONNXConverter {
  // MARK: - Names

  /// The value of this name: of this graph, or of one around it, from where it is then captured
  /// through all graphs in between. Constants are not captured but copied.
  mutating func resolve(_ name: String) -> ValueID? {
    if let id = scope[name] { return id }
    for level in enclosing.indices.reversed() where level >= firstVisible {
      guard let outer = enclosing[level].scope[name] else { continue }
      let type = enclosing[level].graph.values[outer].type
      if let constant = type.constant {
        let id = graph.addConstant(name, constant)
        scope[name] = id
        return id
      }
      var id = outer
      for inner in level + 1..<enclosing.count {
        enclosing[inner].captures.append(id)
        id = enclosing[inner].graph.addInput(name, type)
        enclosing[inner].scope[name] = id
      }
      captures.append(id)
      id = graph.addInput(name, type)
      scope[name] = id
      return id
    }
    return nil
  }

  /// Whether a graph around this one has a value of this name. ONNX wants what nodes make inside to
  /// differ from it; formal inputs and initialisers of subgraphs hide it, as in ONNX Runtime.
  func isVisibleOutside(_ name: String) -> Bool {
    enclosing[firstVisible...].contains { $0.scope[name] != nil }
  }

  // MARK: - Regions

  /// The region that the subgraph attribute `attribute` of `node` is.
  ///
  /// `formals` tell what is known of the formal inputs; beyond that, their declared dtypes and ranks
  /// are believed (declared extents are not: they change as loops go on).
  /// Throws `invalidModel` naming the node and the value for names that exist nowhere, that are made
  /// twice, and for nodes that wait for each other.
  mutating func region(
    _ attribute: String, of node: ImportedNode, formals: [ValueType] = []
  ) throws(MartletError) -> Region {
    guard let source = node.graphs[attribute] else {
      throw node.error(
        .invalidModel, "attribute '\(attribute)', a graph, is missing", input: attribute)
    }
    try enterSubgraph(node)
    let outerUnreadable = unreadable
    enclosing.append(EnclosingGraph(graph: graph, scope: scope, captures: captures, makers: makers))
    let budget = graph.inferenceBudget
    (graph, scope, captures) = (Graph(name: source.name), [:], [])
    makers = ValueMakers()
    graph.inferenceBudget = budget
    try addFormals(source, formals, node)
    try addInitializers(source)
    try convertNodes(source.nodes)
    for info in source.outputs {
      guard let value = resolve(info.name) else {
        throw unreadable[info.name]
          ?? node.error(
            .invalidModel,
            "output '\(info.name)' of '\(attribute)' is made by no node, input or initialiser",
            input: info.name)
      }
      graph.outputs.append(
        GraphOutput(
          name: info.name, value: value, declared: try ONNXConverter.type(info, "output")))
    }
    let region = Region(name: attribute, graph: graph, captures: captures)
    let outer = enclosing.removeLast()
    (graph, scope, captures) = (outer.graph, outer.scope, outer.captures)
    makers = outer.makers
    unreadable = outerUnreadable
    subgraphDepth -= 1
    return region
  }

  private mutating func addFormals(
    _ source: ONNXGraph, _ formals: [ValueType], _ node: ImportedNode
  ) throws(MartletError) {
    try checkNames(source)
    let initializers = Set(
      source.initializers.map(\.name) + source.sparseInitializers.map(\.name))
    for (index, info) in source.inputs.enumerated() {
      guard !initializers.contains(info.name) else {
        throw node.error(
          .invalidModel, "'\(info.name)' is both an input and an initialiser of a subgraph",
          input: info.name)
      }
      var declared = try ONNXConverter.type(info, "input")
      declared.shape = declared.shape.map { Inference.unknownShape(rank: $0.count) }
      let type = index < formals.count ? formals[index].completed(by: declared) : declared
      scope[info.name] = graph.addInput(info.name, type)
    }
  }

  /// Adds the node `op` with all subgraphs of `node` as its regions, in the order of their
  /// names; notes it as missing where Martlet lacks the operator.
  mutating func emitWithRegions(
    _ op: OperatorID, missing: String? = nil, for node: ImportedNode
  ) throws(MartletError) {
    guard OperatorTable.lookup(op) != nil else {
      return note(missing: missing ?? op.description, node)
    }
    var regions: [Region] = []
    for attribute in node.graphs.keys.sorted() { regions.append(try region(attribute, of: node)) }
    try emit(op, node.inputs, node.attributes, regions: regions, for: node)
  }

  /// Puts a subgraph without inputs (a branch of If) in the place of `node`.
  mutating func inline(_ branch: ONNXGraph, _ node: ImportedNode) throws(MartletError) {
    let results = try inlined(branch, [], node)
    for (index, value) in results.enumerated() { bind(node, output: index, to: value) }
  }

  /// What a subgraph of one input and one output, whose nodes are put here, makes of `value`.
  mutating func inline(
    _ function: ONNXGraph, of value: ValueID, _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    guard function.inputs.count == 1, function.outputs.count == 1 else {
      throw node.error(
        .invalidModel,
        "a subgraph of \(function.inputs.count) inputs and \(function.outputs.count) outputs, expected one of each"
      )
    }
    return try inlined(function, [value], node)[0]
  }

  private mutating func inlined(
    _ branch: ONNXGraph, _ arguments: [ValueID], _ node: ImportedNode
  ) throws(MartletError) -> [ValueID] {
    try enterSubgraph(node)
    // What the branch's names stand for outside: of these alone, for there may be many such nodes.
    let made =
      branch.nodes.flatMap(\.outputs) + branch.initializers.map(\.name)
      + branch.sparseInitializers.map(\.name) + branch.inputs.prefix(arguments.count).map(\.name)
    let outer = made.map { ($0, scope[$0]) }
    for (info, value) in zip(branch.inputs, arguments) { scope[info.name] = value }
    try addInitializers(branch)
    try convertNodes(branch.nodes)
    var results: [ValueID] = []
    for info in branch.outputs {
      guard let value = resolve(info.name) else {
        throw node.error(.invalidModel, "output '\(info.name)' of the branch is not made")
      }
      results.append(value)
    }
    for (name, value) in outer { scope[name] = value }
    subgraphDepth -= 1
    return results
  }

  private mutating func enterSubgraph(_ node: ImportedNode) throws(MartletError) {
    guard subgraphDepth < Region.maximumDepth else {
      throw node.error(
        .invalidModel, "graphs are nested deeper than \(Region.maximumDepth)")
    }
    subgraphDepth += 1
  }

  // MARK: - Functions

  /// Puts the nodes of a model-local function in the place of its call.
  mutating func inline(_ function: ONNXFunction, _ call: ImportedNode) throws(MartletError) {
    guard functionDepth < 16 else {
      throw call.error(.invalidModel, "functions call each other deeper than 16")
    }
    // Functions that call functions several times each grow exponentially.
    functionCalls += 1
    guard functionCalls <= 100_000 else {
      throw call.error(.unsupported, "the model's functions are called more than 100000 times")
    }
    functionNodes += function.nodes.count
    guard functionNodes <= 1_000_000 else {
      throw call.error(.unsupported, "the model's functions come to more than 1000000 nodes")
    }
    let (outerScope, outerOpsets, outerVisible) = (scope, opsets, firstVisible)
    scope = [:]
    firstVisible = enclosing.count
    for (index, name) in function.inputs.enumerated() {
      if let value = call.input(index) { scope[name] = value }
    }
    if !function.opsets.isEmpty { opsets = function.opsets }
    functionDepth += 1
    let absent = Set(function.inputs).subtracting(scope.keys)
    try convertNodes(
      function.nodes.enumerated().map { index, node in
        node.resolved(
          call, defaults: function.attributeDefaults, absent: absent,
          name: node.displayName(index))
      })
    functionDepth -= 1
    let inner = scope
    (scope, opsets, firstVisible) = (outerScope, outerOpsets, outerVisible)
    for (index, name) in function.outputs.enumerated() where index < call.outputs.count {
      guard let value = inner[name] else {
        throw call.error(
          .invalidModel, "output '\(name)' of function '\(function.name)' is not made")
      }
      bind(call, output: index, to: value)
    }
  }
}
