import MartletCore
import MartletOperators

extension Graph {
  /// Checks what everything that walks a graph relies on, in its regions too.
  ///
  /// All ids exist; each value is made once, and before it is read; outputs are made; regions have an
  /// input for each capture, of a type that agrees. With `types`, what is known of each value agrees
  /// with what its node's operator says.
  ///
  /// Throws `invalidModel` naming the node and the value, `notFound` for an unknown operator where
  /// types are asked for, and what operators throw. Complexity: O(size), plus an inference.
  package func verify(types: Bool = true) throws(MartletError) {
    try verify(types ? InferenceBudget(for: nodes) : nil, depth: 0)
  }

  private func verify(_ budget: InferenceBudget?, depth: Int) throws(MartletError) {
    guard depth <= Region.maximumDepth else { throw Region.depthError }
    try checkIDs()
    var isMade = [Bool](repeating: false, count: values.count)
    // Of what a node makes, the constant may be known too.
    var isComputed = isMade
    for node in nodes { for id in node.outputs { isComputed[id] = true } }
    for (id, value) in values.enumerated() where !isComputed[id] {
      guard let constant = value.constant else { continue }
      isMade[id] = true
      try checkConstant(value, constant)
    }
    for id in inputs { try make(id, &isMade) }
    for node in nodes {
      do throws(MartletError) {
        for id in node.reads where !isMade[id] { throw unmadeFault(id, node) }
        for id in node.outputs { try make(id, &isMade) }
        try checkRegions(of: node, budget, depth: depth)
        if let budget { try checkTypes(of: node, budget, depth: depth) }
      } catch {
        throw error.at(node)
      }
    }
    for output in outputs where !isMade[output.value] {
      throw fault("output '\(output.name)', \(name(of: output.value)), is not made")
    }
  }

  // MARK: - Values

  private func checkIDs() throws(MartletError) {
    func check(_ id: ValueID, _ role: () -> String) throws(MartletError) {
      guard values.indices.contains(id) else {
        throw fault("\(role()) is value %\(id), of \(values.count) values")
      }
    }
    for id in inputs { try check(id) { "an input of the graph" } }
    for node in nodes {
      do throws(MartletError) {
        for id in node.reads { try check(id) { "what node '\(node.name)' reads" } }
        for id in node.outputs { try check(id) { "an output of node '\(node.name)'" } }
      } catch {
        throw error.at(node)
      }
    }
    for output in outputs { try check(output.value) { "output '\(output.name)'" } }
  }

  private func make(_ id: ValueID, _ isMade: inout [Bool]) throws(MartletError) {
    guard !isMade[id] else { throw fault("\(name(of: id)) is made twice") }
    isMade[id] = true
  }

  /// Why `node` reads a value that is not made before it.
  private func unmadeFault(_ id: ValueID, _ node: Node) -> MartletError {
    guard nodes.contains(where: { $0.outputs.contains(id) }) else {
      return fault("node '\(node.name)' reads \(name(of: id)), which nothing makes")
    }
    var sorted = self
    do throws(MartletError) { try sorted.sortTopologically() } catch { return error }
    return fault("node '\(node.name)' reads \(name(of: id)) before it is made")
  }

  private func checkConstant(_ value: GraphValue, _ constant: Tensor) throws(MartletError) {
    let known = constant.shape.map { Dimension.known($0) }
    guard value.type.dtype == constant.dtype, value.type.shape == known else {
      throw fault(
        "constant '\(value.name)' is \(Graph.constantType(constant).text), its type \(value.type.text)"
      )
    }
  }

  // MARK: - Nodes

  private func checkRegions(
    of node: Node, _ budget: InferenceBudget?, depth: Int
  ) throws(MartletError) {
    var names: Set<String> = []
    for region in node.regions {
      let graph = region.graph
      guard names.insert(region.name).inserted else {
        throw fault("two regions are named '\(region.name)'")
      }
      guard region.captures.count <= graph.inputs.count else {
        throw fault(
          "region '\(region.name)' has \(graph.inputs.count) inputs for \(region.captures.count) captures"
        )
      }
      for (capture, input) in zip(region.captures, region.capturedInputs)
      where graph.values.indices.contains(input) {
        let (outer, inner) = (values[capture].type, graph.values[input].type)
        guard inner.agrees(with: outer) else {
          throw fault(
            "region '\(region.name)' captures \(name(of: capture)), \(outer.text), as \(inner.text)"
          )
        }
      }
      try graph.verify(budget, depth: depth + 1)
    }
  }

  private func checkTypes(
    of node: Node, _ budget: InferenceBudget, depth: Int
  ) throws(MartletError) {
    let regions = try describeRegions(of: node, budget, depth: depth)
    let types = try inferOutputs(node, try makeOperator(node, regions))
    for (id, type) in zip(node.outputs, types) where !values[id].type.agrees(with: type) {
      throw fault("\(name(of: id)) is \(values[id].type.text), but the operator gives \(type.text)")
    }
  }

  private func name(of id: ValueID) -> String { "value '\(values[id].name)' (%\(id))" }

  private func fault(_ what: String) -> MartletError { MartletError(.invalidModel, what) }
}
