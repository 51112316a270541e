import MartletCore
import MartletOperators

/// Recognises activations that exporters write out: GELU by erf and by tanh, SiLU and HardSwish.
///
/// Each is a product of x, a function of x and a scalar; the product is taken apart into factors, so
/// that the order in which an exporter multiplies does not matter.
enum ActivationRecognition {
  static let pass = Pass("activation-recognition") { graph throws(MartletError) in
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      for position in editor.positions where editor.isLive(position) {
        if let node = recognized(editor.graph.nodes[position], editor.index, editor.graph) {
          try editor.replace(position, with: node)
        }
      }
    }
  }

  /// The activation that ends in `node`, or nil.
  private static func recognized(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard node.op == "Mul" || node.op == "Div",
      graph.isFloat32(node.outputs[0])
    else { return nil }
    let product = Product(node.outputs[0], index, graph)
    guard product.factors.count == 2 else { return nil }
    for (x, other) in [(0, 1), (1, 0)] {
      if let found = function(
        of: product.factors[x], product.factors[other], product.scale, index, graph)
      {
        return node.becoming(
          found.op, inputs: [product.factors[x]], attributes: found.attributes,
          absorbing: product.nodes)
      }
    }
    return nil
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

  private typealias Found = (op: OperatorID, attributes: [String: AttributeValue])

  /// The activation that x * f(x) * scale is, or nil.
  private static func function(
    of x: ValueID, _ f: ValueID, _ scale: Double, _ index: GraphIndex, _ graph: Graph
  ) -> Found? {
    if isClose(scale, 1), index.producer(f, "Sigmoid", in: graph)?.input(0) == x {
      return (Silu.schema.id, [:])
    }
    if isClose(scale, 1), let gate = index.producer(f, "HardSigmoid", in: graph),
      gate.input(0) == x, isClose(Double(gate.float("alpha", default: 0.2)), 1 / 6),
      isClose(Double(gate.float("beta", default: 0.5)), 0.5)
    {
      return ("HardSwish", [:])
    }
    if isClose(scale, 1 / 6), let clip = index.producer(f, "Clip", in: graph),
      graph.scalar(clip.input(1)) == 0, graph.scalar(clip.input(2)) == 6,
      let sum = index.producer(clip.input(0), "Add", in: graph),
      let (value, three) = graph.scalarOperand(sum), value == x, three == 3
    {
      return ("HardSwish", [:])
    }
    guard isClose(scale, 0.5), let sum = index.producer(f, "Add", in: graph),
      let (inner, one) = graph.scalarOperand(sum), one == 1
    else { return nil }
    if let erf = index.producer(inner, "Erf", in: graph), let argument = erf.input(0) {
      let scaled = Product(argument, index, graph)
      if scaled.factors == [x], isClose(scaled.scale, 0.5.squareRoot()) {
        return ("Gelu", ["approximate": .string("none")])
      }
    }
    if let tanh = index.producer(inner, "Tanh", in: graph), let argument = tanh.input(0),
      isTanhArgument(argument, x, index, graph)
    {
      return ("Gelu", ["approximate": .string("tanh")])
    }
    return nil
  }

  /// Whether `id` is sqrt(2 / pi) * (x + 0.044715 * x^3).
  private static func isTanhArgument(
    _ id: ValueID, _ x: ValueID, _ index: GraphIndex, _ graph: Graph
  ) -> Bool {
    let product = Product(id, index, graph)
    guard product.factors.count == 1, isClose(product.scale, (2 / Double.pi).squareRoot()),
      let sum = index.producer(product.factors[0], "Add", in: graph)
    else { return false }
    for (first, second) in [(0, 1), (1, 0)] where sum.input(first) == x {
      guard let term = sum.input(second) else { continue }
      let cubic = Product(term, index, graph)
      guard isClose(cubic.scale, 0.044715) else { continue }
      if cubic.factors == [x, x, x] { return true }
      if cubic.factors.count == 1,
        let power = index.producer(cubic.factors[0], "Pow", in: graph), power.input(0) == x,
        graph.scalar(power.input(1)) == 3
      {
        return true
      }
    }
    return false
  }

  /// Equal as far as float32 constants that were rounded several times are.
  private static func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-5 * abs(b) }
}
