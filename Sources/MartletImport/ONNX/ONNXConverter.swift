import MartletCore
import MartletGraph
import MartletOperators

/// Builds a graph from parsed messages: names become indices, nodes are sorted, each is rewritten to
/// its newest form through `ONNXTable` and its output types inferred.
struct ONNXConverter {
  var graph: Graph
  private var tensors: ONNXTensorReader
  /// The values of `graph` by name.
  var scope: [String: ValueID] = [:]
  var makers = ValueMakers()
  /// The graphs around the one under construction, outermost first.
  var enclosing: [EnclosingGraph] = []
  /// The first of `enclosing` whose names are visible: a function's body sees none of its caller's.
  var firstVisible = 0
  /// What `graph` takes from the innermost of `enclosing`: its last inputs, in order.
  var captures: [ValueID] = []
  var subgraphDepth = 0
  var opsets: [String: Int]
  private let functions: [String: ONNXFunction]
  var functionDepth = 0
  var functionCalls = 0
  /// The nodes that calls of functions have come to.
  var functionNodes = 0
  /// What the model needs and Martlet lacks, once per operator, with the first node that needs it.
  private var missing: [(what: String, node: String, operatorName: String)] = []
  /// The file's operators that come to what is missing.
  private(set) var missingOperators: Set<OperatorID> = []
  private var noted: Set<String> = []
  private var generatedNames = 0
  /// Initialisers that cannot be read, which matters only if something reads them.
  var unreadable: [String: MartletError] = [:]
  private let progress: ProgressCallback?

  /// The newest opset of the default domain whose operators Martlet knows.
  static let newestOpset = 28

  init(_ model: ONNXModel, _ tensors: ONNXTensorReader, progress: ProgressCallback?) {
    graph = Graph(name: model.graph?.name ?? "")
    graph.inferenceBudget = InferenceBudget(loading: [])
    self.tensors = tensors
    opsets = model.opsets
    functions = Dictionary(
      model.functions.map { (ONNXConverter.key($0.domain, $0.name, $0.overload), $0) },
      uniquingKeysWith: { a, _ in a })
    self.progress = progress
  }

  /// Converts the model's graph. Initialisers that are inputs too are constants, and, with
  /// `permitsReplacing`, listed as what another `reading` may have as inputs.
  mutating func convert(
    _ source: ONNXGraph, as reading: ModelReading, permitsReplacing: Bool
  ) throws(MartletError) {
    try addInitializers(source, without: reading.replaced)
    try checkNames(source)
    for info in source.inputs where unreadable[info.name] == nil {
      if let constant = scope[info.name] {
        guard permitsReplacing, case .tensor = info.kind else { continue }
        let type = try ONNXConverter.type(info, "input")
        let whole = type.dtype == nil ? type.completed(by: graph.values[constant].type) : type
        graph.replaceable.append(GraphValue(name: info.name, type: whole))
      } else {
        scope[info.name] = graph.addInput(info.name, try ONNXConverter.type(info, "input"))
      }
    }
    if reading.isLoose { graph.loosenInputs() }
    try convertNodes(source.nodes, progress: progress)
    try throwMissing()
    guard !source.outputs.isEmpty else {
      throw MartletError(.invalidModel, "the graph has no outputs")
    }
    for info in source.outputs {
      guard let value = scope[info.name] else {
        if let error = unreadable[info.name] { throw error }
        throw MartletError(
          .invalidModel, "output '\(info.name)' is made by no node, input or initialiser",
          input: info.name)
      }
      graph.outputs.append(
        GraphOutput(
          name: info.name, value: value, declared: try ONNXConverter.type(info, "output")))
    }
  }

  mutating func addInitializers(
    _ source: ONNXGraph, without skipped: Set<String> = []
  ) throws(MartletError) {
    var own: Set<String> = []
    func add(
      _ name: String, _ path: String, _ read: () throws(MartletError) -> Tensor
    ) throws(MartletError) {
      guard !name.isEmpty else {
        throw MartletError(.invalidModel, "\(path): the initialiser has no name")
      }
      guard own.insert(name).inserted else {
        throw MartletError(.invalidModel, "two initialisers are named '\(name)'", input: name)
      }
      if skipped.contains(name) { return }
      do throws(MartletError) {
        let tensor = try read()
        scope[name] = graph.addConstant(name, tensor)
      } catch {
        guard error.code == .unsupported else { throw error }
        unreadable[name] = error
      }
    }
    for proto in source.initializers {
      try add(proto.name, proto.path) { () throws(MartletError) in try tensors.read(proto) }
    }
    for proto in source.sparseInitializers {
      try add(proto.name, proto.path) { () throws(MartletError) in try tensors.read(proto) }
    }
  }

  /// Each value must be made once.
  func checkNames(_ source: ONNXGraph) throws(MartletError) {
    var inputs: Set<String> = []
    for info in source.inputs where !inputs.insert(info.name).inserted {
      throw MartletError(.invalidModel, "two inputs are named '\(info.name)'", input: info.name)
    }
  }

  static func type(_ info: ONNXValueInfo, _ role: String) throws(MartletError) -> ValueType {
    if info.kind == .missing { return .unknown() }
    do throws(MartletError) {
      return ValueType(try kind(info.kind, of: "\(role) '\(info.name)'"))
    } catch {
      var error = error
      error.input = info.name
      throw error
    }
  }

  /// The kind that a type in the file stands for; what it leaves open is not known.
  static func kind(_ kind: ONNXValueInfo.Kind, of what: String) throws(MartletError) -> ValueKind {
    switch kind {
    case .missing: return .unknownTensor
    case .tensor(let dataType, let shape):
      return .tensor(dataType == 0 ? nil : try ONNXTensorReader.dtype(dataType, of: what), shape)
    case .sequence(let element): return .sequence(of: try self.kind(element, of: what))
    case .optional(let element): return .optional(of: try self.kind(element, of: what))
    case .map(let keyType, let value):
      let key = try ONNXTensorReader.dtype(keyType, of: "the keys of \(what)")
      // Files from scikit-learn say [1] of values that are scalars.
      return .map(key: key, value: try self.kind(value, of: what).withoutExtents)
    case .unsupported(let name):
      throw MartletError(
        .unsupported, "\(what) is a \(name); tensors, sequences, optionals and maps are supported",
        expected: "a tensor, sequence, optional or map", actual: name)
    }
  }

  // MARK: - Nodes

  /// Converts nodes in topological order, whatever their order in the file.
  mutating func convertNodes(_ nodes: [ONNXNode], progress: ProgressCallback? = nil)
    throws(MartletError)
  {
    try MemoryReserve.checkRoom(2048 * nodes.count)
    let names = nodes.indices.map { nodes[$0].displayName($0) }
    var makers: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for output in node.outputs where !output.isEmpty {
        guard makers[output] == nil, scope[output] == nil, !isVisibleOutside(output) else {
          throw MartletError(
            .invalidModel,
            "value '\(output)' is made twice, the second time by node '\(names[index])'",
            node: names[index], operatorName: node.op.description, input: output)
        }
        makers[output] = index
      }
    }
    let reads = nodes.map { $0.allReads }
    switch TopologicalOrder.sort(
      count: nodes.count, predecessors: { reads[$0].compactMap { makers[$0] } })
    {
    case .cycle(let cycle): throw Graph.cycleError(cycle.map { names[$0] })
    case .order(let order):
      for (step, index) in order.enumerated() {
        try Progress.report("convert", step, of: order.count, to: progress)
        try convert(nodes[index], name: names[index])
      }
    }
  }

  private mutating func convert(_ source: ONNXNode, name: String) throws(MartletError) {
    do throws(MartletError) {
      let node = try imported(source, name: name)
      let key = ONNXConverter.key(source.domain, source.operatorType, source.overload)
      if let function = functions[key] {
        try inline(function, node)
      } else if let entry = ONNXTable.lookup(node.op) {
        try entry.convert(&self, node)
      } else if node.op.domain == OperatorID.martletDomain {
        throw node.error(
          .unsupported,
          "operators of the domain \(node.op.domain) are Martlet's own; no file may use them")
      } else {
        note(missing: node.op.description, node)
      }
    } catch {
      var error = error
      error.node = error.node ?? name
      error.operatorName = error.operatorName ?? source.op.description
      throw error
    }
  }

  /// What tells one function from another.
  private static func key(_ domain: String, _ name: String, _ overload: String) -> String {
    "\(domain)::\(name):\(overload)"
  }

  private mutating func imported(_ source: ONNXNode, name: String) throws(MartletError)
    -> ImportedNode
  {
    var inputs: [ValueID?] = []
    for (position, input) in source.inputs.enumerated() {
      guard !input.isEmpty else {
        inputs.append(nil)
        continue
      }
      guard let id = resolve(input) else {
        if let error = unreadable[input] { throw error }
        throw MartletError(
          .invalidModel,
          "node '\(name)' (\(source.op)): input \(position) '\(input)' is made by no node, input or initialiser",
          node: name, operatorName: source.op.description, input: input)
      }
      inputs.append(id)
    }
    while inputs.count > 0 && inputs[inputs.count - 1] == nil { inputs.removeLast() }
    var outputs = source.outputs
    while outputs.last?.isEmpty == true { outputs.removeLast() }
    var node = ImportedNode(
      name: name, op: source.op, opset: opsets[source.op.domain] ?? 1,
      inputs: inputs, outputs: outputs, listedOutputCount: source.outputs.count, attributes: [:],
      graphs: [:])
    for attribute in source.attributes {
      switch attribute.value {
      case .plain(let value): node.attributes[attribute.name] = value
      case .tensor(let proto): node.attributes[attribute.name] = .tensor(try tensors.read(proto))
      case .sparse(let proto): node.attributes[attribute.name] = .tensor(try tensors.read(proto))
      case .graph(let graph): node.graphs[attribute.name] = graph
      case .type(let kind):
        node.attributes[attribute.name] = .type(
          try ONNXConverter.kind(kind, of: "attribute '\(attribute.name)'"))
      // An attribute that the function's caller did not give takes the operator's default.
      case .reference: continue
      case .unsupported(let kind):
        throw node.error(
          .unsupported, "attribute '\(attribute.name)' is \(kind), which is not supported",
          input: attribute.name)
      }
    }
    return node
  }

  // MARK: - Making nodes, for the entries of the table

  /// Adds a node that takes the place of `node`: its outputs get the file's names.
  mutating func emit(
    _ op: OperatorID, _ inputs: [ValueID?], _ attributes: [String: AttributeValue],
    regions: [Region] = [], for node: ImportedNode
  ) throws(MartletError) {
    let names = node.outputs.map { $0.isEmpty ? newName(node) : $0 }
    let ids = try add(op, inputs, attributes, names, regions, node)
    for (name, id) in zip(node.outputs, ids) where !name.isEmpty { scope[name] = id }
  }

  /// Adds a node whose single output is only read by further nodes made for `node`.
  mutating func emitInner(
    _ op: OperatorID, _ inputs: [ValueID?], _ attributes: [String: AttributeValue] = [:],
    for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    try emitInner(op, inputs, attributes, outputs: 1, for: node)[0]
  }

  /// The same with several outputs.
  mutating func emitInner(
    _ op: OperatorID, _ inputs: [ValueID?], _ attributes: [String: AttributeValue] = [:],
    outputs: Int, for node: ImportedNode
  ) throws(MartletError) -> [ValueID] {
    let names = (0..<outputs).map { _ in newName(node) }
    return try add(op, inputs, attributes, names, [], node)
  }

  private mutating func add(
    _ op: OperatorID, _ inputs: [ValueID?], _ attributes: [String: AttributeValue],
    _ outputs: [String], _ regions: [Region], _ node: ImportedNode
  ) throws(MartletError) -> [ValueID] {
    guard OperatorTable.lookup(op) != nil else {
      note(missing: op.description, node)
      return outputs.map { graph.addValue($0) }
    }
    var inputs = inputs
    while inputs.count > 0 && inputs[inputs.count - 1] == nil { inputs.removeLast() }
    let ids = graph.addNode(
      op, name: node.name, inputs: inputs, outputs: outputs, attributes: attributes,
      regions: regions)
    graph.inferenceBudget?.grant(regions: regions.count)
    // Types of values that depend on a missing operator are unknown; its error comes later.
    guard missing.isEmpty else { return ids }
    try graph.inferNode(graph.nodes.count - 1)
    return ids
  }

  /// Makes output `index` of `node` another name of `value`.
  mutating func bind(_ node: ImportedNode, output index: Int = 0, to value: ValueID) {
    guard index < node.outputs.count, !node.outputs[index].isEmpty else { return }
    scope[node.outputs[index]] = value
  }

  mutating func constant(_ tensor: Tensor, for node: ImportedNode) -> ValueID {
    graph.addConstant(newName(node), tensor)
  }

  /// A vector of int64.
  mutating func constant(_ values: [Int], for node: ImportedNode) throws(MartletError) -> ValueID {
    let tensor = try Tensor(uninitialized: .int64, [values.count])
    for (index, value) in values.enumerated() { tensor.typed(Int64.self)[index] = Int64(value) }
    return constant(tensor, for: node)
  }

  /// A vector of float32, or with an empty `shape` a scalar.
  mutating func constant(_ values: [Float], shape: [Int]? = nil, for node: ImportedNode)
    throws(MartletError) -> ValueID
  {
    let tensor = try Tensor(uninitialized: .float32, shape ?? [values.count])
    for (index, value) in values.prefix(tensor.count).enumerated() {
      tensor.typed(Float.self)[index] = value
    }
    return constant(tensor, for: node)
  }

  func type(of value: ValueID?) -> ValueType {
    value.map { graph.values[$0].type } ?? ValueType(dtype: nil, shape: nil)
  }

  func rank(of value: ValueID?) -> Int? { type(of: value).shape?.count }

  private mutating func newName(_ node: ImportedNode) -> String {
    generatedNames += 1
    return "\(node.name)/\(generatedNames)"
  }

  // MARK: - Operators that are missing

  mutating func note(missing operatorName: String, _ node: ImportedNode) {
    let domain = node.op.domain.isEmpty ? "ai.onnx" : node.op.domain
    let reason = domain == "ai.onnx.preview.training" ? "; operators of training are not run" : ""
    missingOperators.insert(node.op)
    let what = "\(node.op.name) (domain \(domain), opset \(node.opset)\(reason))"
    if noted.insert(what).inserted {
      missing.append((what, node.name, node.op.description))
    }
    for name in node.outputs where !name.isEmpty { scope[name] = graph.addValue(name) }
  }

  private func throwMissing() throws(MartletError) {
    guard let first = missing.first else { return }
    let list = missing.map { "\($0.what) at node '\($0.node)'" }.joined(separator: "; ")
    throw MartletError(
      .unsupported, "the model needs operators that are not supported: \(list)", node: first.node,
      operatorName: first.operatorName,
      actual: missing.map(\.operatorName).joined(separator: ", "))
  }
}
