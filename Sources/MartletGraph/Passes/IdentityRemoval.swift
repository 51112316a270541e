import MartletCore
import MartletOperators

/// Removes nodes that hand their input on: Identity, Dropout without a mask, casts to the same type,
/// and additions of 0, products with 1, transpositions and reshapes that change nothing.
enum IdentityRemoval {
  static let pass = Pass("identity-removal") { graph throws(MartletError) in
    var removed: Set<Int> = []
    // What each value is replaced with; chains are followed as they come.
    var replacement: [ValueID: ValueID] = [:]
    for index in graph.nodes.indices {
      graph.nodes[index].replaceReads { replacement[$0] ?? $0 }
      if let source = source(graph.nodes[index], graph) {
        replacement[graph.nodes[index].outputs[0]] = source
        removed.insert(index)
      }
    }
    for index in graph.outputs.indices {
      if let other = replacement[graph.outputs[index].value] { graph.outputs[index].value = other }
    }
    graph.removeNodes(removed)
  }

  /// The input that the node's only output equals, or nil.
  private static func source(_ node: Node, _ graph: Graph) -> ValueID? {
    guard let input = node.input(0), node.outputs.count == 1 else { return nil }
    let type = graph.values[input].type
    switch node.op {
    case "Identity": return input
    // With a flag that may say to train, the operator has something to refuse.
    case "Dropout": return node.input(2) == nil ? input : nil
    case "Cast":
      guard let dtype = type.dtype else { return nil }
      return node.int("to", default: 0) == Int(dtype.rawValue) ? input : nil
    case "Transpose":
      guard case .ints(let order) = node.attributes["perm"] else { return nil }
      return order == Array(0..<order.count) ? input : nil
    case "Reshape", "Expand", "Flatten", "Squeeze", "Unsqueeze":
      return graph.haveSameShape(input, node.outputs[0]) ? input : nil
    case "Add", "Sub": return neutral(node, 0, graph)
    case "Mul", "Div": return neutral(node, 1, graph)
    case "Concat", "Sum", "Max", "Min", "Mean": return node.inputs.count == 1 ? input : nil
    default: return nil
    }
  }

  /// The operand that the scalar `element` leaves as it is. (x + 0 differs from x only in the sign
  /// of zero.)
  private static func neutral(_ node: Node, _ element: Double, _ graph: Graph) -> ValueID? {
    guard let (value, scalar) = graph.scalarOperand(node), scalar == element else { return nil }
    let isCommutative = node.op == "Add" || node.op == "Mul"
    return isCommutative || node.input(0) == value ? value : nil
  }
}
