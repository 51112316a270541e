import MartletCore
import MartletOperators

extension Graph {
  /// Makes the operator of a node, with whatever of its inputs is constant and with its regions.
  ///
  /// Errors name the node and the operator.
  package func makeOperator(
    _ node: Node, prepared: PreparedConstants = PreparedConstants()
  ) throws(MartletError) -> any Operator {
    try makeOperator(node, describeRegions(of: node, nil, depth: 0), prepared: prepared)
  }

  func makeOperator(
    _ node: Node, _ regions: [GraphRegion], prepared: PreparedConstants = PreparedConstants()
  ) throws(MartletError) -> any Operator {
    try MemoryReserve.check()
    var constants: [Tensor?] = []
    for input in node.inputs { constants.append(input.flatMap { values[$0].constant }) }
    do throws(MartletError) {
      return try OperatorTable.make(
        node.op,
        OperatorNode(
          attributes: Attributes(node.attributes, operatorName: node.op.description),
          constants: constants, inputCount: node.inputs.count, outputCount: node.outputs.count,
          regions: regions, prepared: prepared))
    } catch {
      throw error.at(node)
    }
  }

  /// What is known of a node's outputs before a run; exactly one type per output.
  package func inferOutputs(_ node: Node, _ operation: any Operator) throws(MartletError)
    -> [ValueType]
  {
    var inputs: [ValueType?] = []
    for input in node.inputs { inputs.append(input.map { values[$0].type }) }
    var types: [ValueType]
    do throws(MartletError) {
      for (index, type) in inputs.enumerated() where type?.dtype == .string || type?.compound != nil
      {
        if let type { try Swift.type(of: operation).schema.check(type.kind, input: index) }
      }
      types = try operation.infer(inputs)
    } catch { throw error.at(node) }
    while types.count < node.outputs.count { types.append(ValueType(dtype: nil, shape: nil)) }
    return types.prefix(node.outputs.count).map(\.followed)
  }

  /// Infers the types of all values from those of the inputs, in the order of the nodes, those inside
  /// regions included.
  ///
  /// What was known before and does not follow from the inputs is kept.
  /// Throws what operators throw on their attributes and input types, and `invalidModel` for regions
  /// nested deeper than `Region.maximumDepth`.
  package mutating func inferTypes() throws(MartletError) {
    try inferTypes(budget(for: nodes), depth: 0)
  }

  /// The budget of the whole load, or one of its own for what is asked alone.
  private func budget(for nodes: [Node]) -> InferenceBudget {
    inferenceBudget ?? InferenceBudget(for: nodes)
  }

  mutating func inferTypes(_ budget: InferenceBudget, depth: Int) throws(MartletError) {
    for index in nodes.indices { _ = try inferNode(index, budget, depth: depth) }
  }

  /// Infers the output types of node `index`, and the types inside its regions; gives its operator.
  @discardableResult
  package mutating func inferNode(_ index: Int) throws(MartletError) -> any Operator {
    try inferNode(index, budget(for: [nodes[index]]), depth: 0)
  }

  private mutating func inferNode(
    _ index: Int, _ budget: InferenceBudget, depth: Int
  ) throws(MartletError) -> any Operator {
    if !nodes[index].regions.isEmpty { refreshRegions(of: index) }
    let node = nodes[index]
    let regions = try describeRegions(of: node, budget, depth: depth)
    let operation = try makeOperator(node, regions)
    let types = try inferOutputs(node, operation)
    for (output, type) in zip(node.outputs, types) {
      guard type.compound?.isShallower() ?? true else {
        throw MartletError(
          .invalidModel,
          "output '\(values[output].name)' is nested deeper than \(Value.maximumDepth)",
          input: values[output].name, expected: "at most \(Value.maximumDepth) levels",
          actual: "more"
        ).at(node)
      }
      values[output].type = type.completed(by: values[output].type)
    }
    for (position, region) in regions.enumerated() {
      do throws(MartletError) {
        nodes[index].regions[position].graph = try region.inferredGraph()
      } catch {
        throw error.at(node)
      }
    }
    return operation
  }

  /// The node's regions for its operator; without a budget, each question has one of its own.
  func describeRegions(
    of node: Node, _ budget: InferenceBudget?, depth: Int
  ) throws(MartletError) -> [GraphRegion] {
    guard !node.regions.isEmpty else { return [] }
    guard depth < Region.maximumDepth else { throw Region.depthError.at(node) }
    return node.regions.map { region in
      var region = region
      refresh(&region)
      return GraphRegion(region, budget, depth: depth + 1)
    }
  }
}

extension ValueType {
  /// This type without what grows from node to node and helps nobody: extents of a tensor of more axes
  /// than tensors have, which the run refuses, and the elements of long vectors.
  fileprivate var followed: ValueType {
    var type = self
    if let rank, rank > Shape.maximumRank { type.shape = nil }
    if let elements, elements.count > Inference.elementLimit { type.elements = nil }
    return type
  }

  /// Whether as much is known of one as of the other, and the same; constants are compared as the
  /// memory that they are.
  package func isSame(as other: ValueType) -> Bool {
    guard dtype == other.dtype, shape == other.shape, elements == other.elements,
      compound == other.compound
    else {
      return false
    }
    switch (constant, other.constant) {
    case (nil, nil): return true
    case (let mine?, let theirs?): return mine.isSameView(as: theirs) && mine.shape == theirs.shape
    default: return false
    }
  }
}

extension MartletError {
  /// This error with the node's name and operator filled in where they are missing.
  package func at(_ node: Node) -> MartletError {
    var error = self
    error.node = error.node ?? node.name
    error.operatorName = error.operatorName ?? node.op.description
    return error
  }
}
