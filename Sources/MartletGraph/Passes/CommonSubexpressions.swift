import MartletCore
import MartletOperators

/// Computes equal things once: small constants of equal elements become one, and so do nodes with
/// equal operator, attributes and inputs.
enum CommonSubexpressions {
  static let pass = Pass("common-subexpressions") { graph throws(MartletError) in
    var replacement = Array(graph.values.indices)
    shareConstants(graph, &replacement)
    var known: [Key: Int] = [:]
    var removed: Set<Int> = []
    for index in graph.nodes.indices {
      graph.nodes[index].replaceReads { replacement[$0] }
      let node = graph.nodes[index]
      // Regions are not compared.
      guard !node.traits.isRandom, node.regions.isEmpty else { continue }
      let key = Key(
        op: node.op, inputs: node.inputs,
        attributes: node.attributes.mapValues(\.identity), outputCount: node.outputs.count)
      guard let first = known[key] else {
        known[key] = index
        continue
      }
      for (old, new) in zip(node.outputs, graph.nodes[first].outputs) { replacement[old] = new }
      removed.insert(index)
    }
    for index in graph.outputs.indices {
      graph.outputs[index].value = replacement[graph.outputs[index].value]
    }
    graph.removeNodes(removed)
  }

  private struct Key: Hashable {
    let op: OperatorID
    let inputs: [ValueID?]
    let attributes: [String: String]
    let outputCount: Int
  }

  /// Constants of at most 64 bytes are compared by content.
  private static func shareConstants(_ graph: Graph, _ replacement: inout [ValueID]) {
    struct Content: Hashable {
      let dtype: DType
      let shape: [Int]
      let bytes: [UInt8]
    }
    var known: [Content: ValueID] = [:]
    for id in graph.values.indices {
      guard let constant = graph.values[id].constant, constant.isContiguous,
        constant.byteCount <= 64
      else { continue }
      let bytes = UnsafeRawBufferPointer(
        start: constant.pointer, count: constant.byteCount)
      let content = Content(dtype: constant.dtype, shape: constant.shape, bytes: Array(bytes))
      if let first = known[content] { replacement[id] = first } else { known[content] = id }
    }
  }
}

extension AttributeValue {
  /// Text that is equal for equal values; tensors count as equal when they are the same memory.
  fileprivate var identity: String {
    switch self {
    case .float(let value): "\(value.bitPattern)f"
    case .floats(let values): values.map { "\($0.bitPattern)" }.joined(separator: ",") + "f"
    case .tensor(let tensor): "\(text)@\(tensor.pointer)/\(tensor.strides)"
    default: text
    }
  }
}
