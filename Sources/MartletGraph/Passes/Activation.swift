import MartletOperators

/// A node that is one of the functions of `ActivationTable`, with its parameters as far as they are
/// given.
struct Activation {
  let row: ActivationRow
  let alpha: Float?
  let beta: Float?

  /// nil for other nodes, and where a parameter is known in the run alone.
  init?(_ node: Node, _ graph: Graph) {
    guard let row = ActivationTable.row(of: node.op, node.attributes) else { return nil }
    self.row = row
    guard case .some(let alpha) = Activation.value(row.alpha, of: node, graph),
      case .some(let beta) = Activation.value(row.beta, of: node, graph)
    else { return nil }
    self.alpha = alpha
    self.beta = beta
  }

  /// What the node has for a parameter: nil, if that is not known; a value that is nil, if the
  /// function has no such parameter or the node no such input.
  private static func value(
    _ parameter: ActivationRow.Parameter?, of node: Node, _ graph: Graph
  ) -> Float?? {
    switch parameter?.source {
    case nil: return .some(nil)
    case .attribute(let name): return node.float(name, default: parameter?.fallback ?? 0)
    case .input(let slot):
      guard let id = node.input(slot) else { return .some(nil) }
      return graph.scalar(id).map { Float($0) }
    }
  }
}
