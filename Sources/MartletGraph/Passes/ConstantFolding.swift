import MartletBackends
import MartletCore
import MartletOperators

/// Runs nodes whose inputs are all known once, at load, and keeps their results as constants.
///
/// Matrix work is folded in float32 whatever the mode. Results above `maximumBytes` that are larger
/// than what they come from stay nodes: they would cost more memory than they save time.
package enum ConstantFolding {
  static let maximumBytes = 1 << 20

  static let pass = Pass("constant-folding", order: .outerFirst) { graph throws(MartletError) in
    try fold(&graph)
  }

  /// Folds the nodes of a graph, not those inside regions.
  static func fold(_ graph: inout Graph) throws(MartletError) {
    var folded: Set<Int> = []
    for index in graph.nodes.indices {
      // Earlier folding makes more of the types known.
      let operation = try graph.inferNode(index)
      let node = graph.nodes[index]
      guard let results = try values(of: node, operation, in: graph) else { continue }
      for (id, tensor) in zip(node.outputs, results) {
        graph.values[id].type = Graph.constantType(tensor)
      }
      folded.insert(index)
    }
    graph.removeNodes(folded)
  }

  /// The outputs of a node, where they are known before any run and small enough; else nil.
  static func values(of node: Node, _ operation: any Operator, in graph: Graph)
    throws(MartletError) -> [Tensor]?
  {
    guard !node.traits.isRandom else { return nil }
    if let inferred = inferredValues(of: node, in: graph) { return inferred }
    guard node.regions.isEmpty else { return nil }
    var inputs: [Tensor?] = []
    var inputBytes = 0
    for id in node.inputs {
      guard let id else {
        inputs.append(nil)
        continue
      }
      guard let constant = graph.values[id].constant else { return nil }
      inputs.append(constant)
      inputBytes += constant.byteCount
    }
    // The size is asked for before the run: a node may make gigabytes of a few numbers.
    var outputBytes = 0
    for id in node.outputs {
      guard let bytes = knownBytes(graph.values[id].type) else { return nil }
      outputBytes = min(outputBytes + bytes, Int.max / 4)
    }
    guard outputBytes <= max(maximumBytes, inputBytes) else { return nil }
    for index in inputs.indices {
      if let input = inputs[index], !input.isAligned { inputs[index] = try input.copied() }
    }
    let context = RunContext(mode: .fp32)
    do throws(MartletError) {
      var results = try operation.results(inputs, context)
      guard results.count >= node.outputs.count else { return nil }
      // A view would keep the whole of what it was cut from alive, or alias a weight.
      for index in results.indices where !results[index].isContiguous {
        results[index] = try results[index].copied()
      }
      return results
    } catch {
      // What fails here fails in the run, where the caller sees it in its place.
      return nil
    }
  }

  /// Shapes and the like: integer vectors whose elements inference knows.
  static func inferredValues(of node: Node, in graph: Graph) -> [Tensor]? {
    guard node.outputs.count == 1 else { return nil }
    let type = graph.values[node.outputs[0]].type
    guard let elements = type.elements, let shape = type.shape, shape.count <= 1,
      type.dtype == .int64 || type.dtype == .int32
    else { return nil }
    if let first = shape.first, first != .known(elements.count) { return nil }
    var numbers: [Int] = []
    for case .known(let number) in elements { numbers.append(number) }
    guard numbers.count == elements.count, shape.count == 1 || numbers.count == 1,
      let dtype = type.dtype,
      let tensor = try? Tensor(uninitialized: dtype, shape.isEmpty ? [] : [numbers.count])
    else { return nil }
    for (index, number) in numbers.enumerated() {
      if dtype == .int64 {
        tensor.typed(Int64.self)[index] = Int64(number)
      } else {
        guard let small = Int32(exactly: number) else { return nil }
        tensor.typed(Int32.self)[index] = small
      }
    }
    return [tensor]
  }

  private static func knownBytes(_ type: ValueType) -> Int? {
    guard let dtype = type.dtype, let shape = type.shape else { return nil }
    var extents: [Int] = []
    for case .known(let extent) in shape { extents.append(extent) }
    guard extents.count == shape.count else { return nil }
    return try? Shape.byteCount(extents, dtype)
  }
}
