import MartletCore
import MartletOperators

/// The index of a value in its graph.
package typealias ValueID = Int

/// What flows along an edge: a constant, a model input or the output of one node.
package struct GraphValue: Sendable {
  /// The name in the model's file; values that Martlet makes have names of their own.
  package var name: String
  /// What is known before a run; `type.constant` holds a constant's elements.
  package var type: ValueType

  package init(name: String, type: ValueType) {
    self.name = name
    self.type = type
  }

  package var constant: Tensor? { type.constant }
}

/// A result of the graph: the name that callers ask for and the value that it is.
package struct GraphOutput: Sendable {
  package var name: String
  package var value: ValueID
  /// The type that the file states, which completes what is inferred when somebody asks; nothing
  /// is checked against it.
  package var declared: ValueType

  package init(
    name: String, value: ValueID, declared: ValueType = ValueType(dtype: nil, shape: nil)
  ) {
    self.name = name
    self.value = value
    self.declared = declared
  }
}

/// A computation: nodes on values, each value made once.
package struct Graph: Sendable {
  package var name: String
  package var values: [GraphValue] = []
  package var nodes: [Node] = []
  package var inputs: [ValueID] = []
  package var outputs: [GraphOutput] = []
  /// Inputs of the file whose values are constants here, which another reading of it has as inputs.
  package var replaceable: [GraphValue] = []
  /// What the inference inside regions draws on; nil: each question has one of its own.
  package var inferenceBudget: InferenceBudget?

  package init(name: String = "") { self.name = name }

  // MARK: - Making

  package mutating func addValue(
    _ name: String, _ type: ValueType = ValueType(dtype: nil, shape: nil)
  )
    -> ValueID
  {
    values.append(GraphValue(name: name, type: type))
    return values.count - 1
  }

  package mutating func addConstant(_ name: String, _ tensor: Tensor) -> ValueID {
    addValue(name, Graph.constantType(tensor))
  }

  package mutating func addInput(_ name: String, _ dtype: DType?, _ shape: [Dimension]?) -> ValueID
  {
    addInput(name, ValueType(dtype: dtype, shape: shape))
  }

  package mutating func addInput(_ name: String, _ type: ValueType) -> ValueID {
    let id = addValue(name, type)
    inputs.append(id)
    return id
  }

  /// Adds a node with fresh outputs of these names and returns them. Types are not inferred.
  @discardableResult
  package mutating func addNode(
    _ op: OperatorID, name: String, inputs: [ValueID?], outputs names: [String],
    attributes: [String: AttributeValue] = [:], regions: [Region] = []
  ) -> [ValueID] {
    var outputs: [ValueID] = []
    for name in names { outputs.append(addValue(name)) }
    nodes.append(
      Node(
        name: name, op: op, inputs: inputs, outputs: outputs,
        attributes: attributes, regions: regions))
    return outputs
  }

  /// The type of a constant: everything is known, small integer vectors element by element.
  package static func constantType(_ tensor: Tensor) -> ValueType {
    ValueType(
      dtype: tensor.dtype, shape: tensor.shape.map { .known($0) },
      elements: tensor.smallIntegers?.map { .known($0) }, constant: tensor)
  }

  /// Has all inference in this graph and those inside it, from now on, draw on one budget.
  package mutating func shareInferenceBudget() {
    share(InferenceBudget(loading: nodes), depth: 0)
  }

  private mutating func share(_ budget: InferenceBudget, depth: Int) {
    inferenceBudget = budget
    // Deeper ones are refused where they are looked at.
    guard depth < Region.maximumDepth else { return }
    for index in nodes.indices {
      for position in nodes[index].regions.indices {
        nodes[index].regions[position].graph.share(budget, depth: depth + 1)
      }
    }
  }

  // MARK: - Asking

  /// The node that makes each value, or nil for inputs and constants.
  package func producers() -> [Int?] {
    var producers = [Int?](repeating: nil, count: values.count)
    for (index, node) in nodes.enumerated() {
      for output in node.outputs { producers[output] = index }
    }
    return producers
  }

  /// Number of nodes, those inside regions included.
  package var nodeCount: Int {
    nodes.reduce(0) { count, node in
      node.regions.reduce(count + 1) { $0 + $1.graph.nodeCount }
    }
  }

  /// How often each value is read, by nodes (what their regions capture included) and as an output
  /// of the graph.
  package func useCounts() -> [Int] {
    var counts = [Int](repeating: 0, count: values.count)
    for node in nodes {
      for id in node.reads { counts[id] += 1 }
    }
    for output in outputs { counts[output.value] += 1 }
    return counts
  }

  /// Removes the nodes at these indices.
  package mutating func removeNodes(_ removed: Set<Int>) {
    guard !removed.isEmpty else { return }
    var kept: [Node] = []
    kept.reserveCapacity(nodes.count - removed.count)
    for (index, node) in nodes.enumerated() where !removed.contains(index) { kept.append(node) }
    nodes = kept
  }
}

extension Tensor {
  /// The elements of a contiguous integer scalar or vector of at most 64 elements, else nil.
  package var smallIntegers: [Int]? {
    guard rank <= 1, count <= 64, isContiguous else { return nil }
    let raw = UnsafeRawPointer(pointer)
    switch dtype {
    case .int64:
      return (0..<count).map { Int(raw.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) }
    case .int32:
      return (0..<count).map { Int(raw.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self)) }
    default: return nil
    }
  }
}
