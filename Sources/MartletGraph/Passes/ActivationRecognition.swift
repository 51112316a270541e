import MartletCore
import MartletOperators

/// Recognises activations that exporters write out: the patterns of `ActivationTable`.
///
/// Each is a product of x, a function of x and a scalar; the product is taken apart into factors, so
/// that the order in which an exporter multiplies does not matter.
enum ActivationRecognition {
  static let pass = Pass("activation-recognition") { graph throws(MartletError) in
    let patterns = patterns()
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      for position in editor.positions where editor.isLive(position) {
        if let node = recognized(
          editor.graph.nodes[position], patterns, editor.index, editor.graph)
        {
          try editor.replace(position, with: node)
        }
      }
    }
  }

  /// The activation that ends in `node`, or nil.
  private static func recognized(
    _ node: Node, _ patterns: [Pattern], _ index: GraphIndex, _ graph: Graph
  ) -> Node? {
    guard node.op == "Mul" || node.op == "Div", graph.isFloat32(node.outputs[0]) else { return nil }
    let product = Product(node.outputs[0], index, graph)
    guard product.factors.count == 2 else { return nil }
    for (x, other) in [(0, 1), (1, 0)] {
      let matcher = Matcher(x: product.factors[x], index, graph)
      for pattern in patterns
      where isClose(product.scale, pattern.scale)
        && matcher.matches(product.factors[other], pattern.gate)
      {
        return node.becoming(
          pattern.row.op, inputs: [product.factors[x]], attributes: pattern.row.attributes,
          absorbing: product.nodes)
      }
    }
    return nil
  }

  /// scale * x * gate.
  private struct Pattern {
    let row: ActivationRow
    let scale: Double
    let gate: ActivationPattern
  }

  private static func patterns() -> [Pattern] {
    ActivationTable.all.flatMap { row in
      row.patterns.compactMap { pattern in
        guard case .product(let scale, let factors) = pattern, factors.count == 2,
          case .x = factors[0]
        else { return nil }
        return Pattern(row: row, scale: scale, gate: factors[1])
      }
    }
  }

  /// A value as a product of factors and a scalar.
  private struct Product {
    var factors: [ValueID] = []
    var scale = 1.0
    /// The nodes that multiply, but for the last.
    var nodes: [Node] = []

    init(_ root: ValueID, _ index: GraphIndex, _ graph: Graph) {
      collect(root, index, graph, isRoot: true)
    }

    private mutating func collect(
      _ id: ValueID, _ index: GraphIndex, _ graph: Graph, isRoot: Bool
    ) {
      guard let node = index.producer(id, "Mul", "Div", in: graph),
        isRoot || index.isReadOnce(id), factors.count < 4
      else { return factors.append(id) }
      if let (value, number) = graph.scalarOperand(node),
        node.op == "Mul" || node.input(0) == value
      {
        scale *= node.op == "Mul" ? number : 1 / number
        collect(value, index, graph, isRoot: false)
      } else if node.op == "Mul", let a = node.input(0), let b = node.input(1) {
        collect(a, index, graph, isRoot: false)
        collect(b, index, graph, isRoot: false)
      } else {
        return factors.append(id)
      }
      if !isRoot { nodes.append(node) }
    }
  }

  /// Whether values are what patterns say, of one value x.
  private struct Matcher {
    let x: ValueID
    let index: GraphIndex
    let graph: Graph

    init(x: ValueID, _ index: GraphIndex, _ graph: Graph) {
      self.x = x
      self.index = index
      self.graph = graph
    }

    func matches(_ id: ValueID?, _ pattern: ActivationPattern) -> Bool {
      guard let id else { return false }
      switch pattern {
      case .x: return id == x
      case .activation(let name, let argument, let alpha, let beta):
        guard let node = index.producer(id, in: graph), let found = Activation(node, graph),
          found.row.name == name
        else { return false }
        return hasParameter(found.row.alpha, found.alpha, alpha)
          && hasParameter(found.row.beta, found.beta, beta) && matches(node.input(0), argument)
      case .apply(let op, let argument):
        return matches(index.producer(id, op, in: graph)?.input(0), argument)
      case .sum(let argument, let number):
        guard let sum = index.producer(id, "Add", in: graph),
          let (value, scalar) = graph.scalarOperand(sum), scalar == number
        else { return false }
        return matches(value, argument)
      case .addition(let a, let b):
        guard let sum = index.producer(id, "Add", in: graph) else { return false }
        return [(0, 1), (1, 0)].contains { first, second in
          matches(sum.input(first), a) && matches(sum.input(second), b)
        }
      case .power(let base, let exponent):
        guard let power = index.producer(id, "Pow", in: graph),
          graph.scalar(power.input(1)) == exponent
        else { return false }
        return matches(power.input(0), base)
      case .product(let scale, let factors):
        let product = Product(id, index, graph)
        return product.factors.count == factors.count && isClose(product.scale, scale)
          && zip(product.factors, factors).allSatisfy { matches($0, $1) }
      }
    }

    /// Whether a parameter is what a pattern wants (nil: its default): constants exactly, attributes,
    /// which exporters compute, as far as float32 goes.
    private func hasParameter(
      _ parameter: ActivationRow.Parameter?, _ value: Float?, _ wanted: Double?
    ) -> Bool {
      guard let parameter else { return true }
      let value = Double(value ?? parameter.fallback)
      let wanted = wanted ?? Double(parameter.fallback)
      if case .input = parameter.source { return value == wanted }
      return isClose(value, wanted)
    }
  }

  /// Equal as far as float32 constants that were rounded several times are.
  private static func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-5 * abs(b) }
}
