import MartletCore
import MartletOperators

/// Moves what follows a matrix product into it, where it costs next to nothing while the tile is in
/// registers: a scalar factor, a bias, a residual, an activation.
///
/// The product takes the place of the last node that it absorbs: y = activation(alpha * product +
/// bias + residual). Only values that nobody else reads are absorbed, and shapes must be known to
/// fit: a sum that would broadcast the product itself stays a node.
enum EpilogueFusion {
  static let pass = Pass("epilogue-fusion") { graph throws(MartletError) in
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      for position in editor.positions where editor.isLive(position) {
        if let node = fused(editor.graph.nodes[position], editor.index, editor.graph) {
          try editor.replace(position, with: node)
        }
      }
    }
  }

  /// The product that takes the place of `node`, or nil.
  private static func fused(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard graph.isFloat32(node.outputs.first) else { return nil }
    switch node.op {
    case "Mul", "Div": return scaled(node, index, graph)
    case "MatMul": return scaledOperands(node, index, graph)
    case "Add": return sum(node, index, graph)
    default: return activated(node, index, graph)
    }
  }

  /// The product that makes `id` for this reader alone and has no activation yet. All of them have
  /// inputs bias (slot 2) and residual (slot 3) and the attribute `activation`.
  private static func product(_ id: ValueID?, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard let id, index.isReadOnce(id),
      let node = index.producer(id, "MatMul", "Gemm", "Linear", "Conv", in: graph),
      node.attributes["activation"] == nil, supports(node.op, input: 3)
    else { return nil }
    return node
  }

  private static func supports(_ op: OperatorID, input slot: Int) -> Bool {
    OperatorTable.lookup(op).map { $0.schema.inputs.count > slot } ?? false
  }

  /// `product` with the outputs of `node`, which it does the work of.
  private static func absorb(
    _ node: Node, into product: Node, _ change: (inout Node) -> Void
  ) -> Node {
    var fused = product
    fused.outputs = node.outputs
    fused.fused += [node.name] + node.fused
    change(&fused)
    return fused
  }

  private static func set(_ slot: Int, of node: inout Node, to id: ValueID) {
    while node.inputs.count <= slot { node.inputs.append(nil) }
    node.inputs[slot] = id
  }

  // MARK: - Factors

  /// MatMul(a, b) * s.
  private static func scaled(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard let (value, number) = graph.scalarOperand(node), number != 0,
      node.op == "Mul" || node.input(0) == value,
      let product = product(value, index, graph), product.op == "MatMul",
      product.inputs.count == 2
    else { return nil }
    return absorb(node, into: product) {
      scale(&$0, by: node.op == "Mul" ? number : 1 / number)
    }
  }

  /// MatMul(a * s, b * t).
  private static func scaledOperands(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    var fused = node
    for slot in 0...1 {
      guard let factor = index.producer(node.input(slot), "Mul", "Div", in: graph),
        index.isReadOnce(factor.outputs[0]), let (value, number) = graph.scalarOperand(factor),
        number != 0, factor.op == "Mul" || factor.input(0) == value,
        graph.values[value].constant == nil
      else { continue }
      fused.inputs[slot] = value
      fused.fused.append(factor.name)
      scale(&fused, by: factor.op == "Mul" ? number : 1 / number)
    }
    return fused.fused.count > node.fused.count ? fused : nil
  }

  private static func scale(_ node: inout Node, by factor: Double) {
    let alpha = Double(node.float("alpha", default: 1)) * factor
    node.attributes["alpha"] = .float(Float(alpha))
  }

  // MARK: - Sums

  private static func sum(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard node.inputs.count == 2 else { return nil }
    for (first, second) in [(0, 1), (1, 0)] {
      guard let product = product(node.input(first), index, graph),
        let other = node.input(second), graph.isFloat32(other)
      else { continue }
      if isBias(other, of: product, graph) {
        return absorb(node, into: product) {
          set(2, of: &$0, to: other)
          // Gemm's beta belonged to a C that was absent.
          if $0.op == "Gemm" { $0.attributes["beta"] = nil }
        }
      }
      if product.input(3) == nil, fits(other, product, graph) {
        return absorb(node, into: product) { set(3, of: &$0, to: other) }
      }
    }
    return nil
  }

  /// Whether `id` is a constant with one value per column of a product that has no bias.
  private static func isBias(_ id: ValueID, of product: Node, _ graph: Graph) -> Bool {
    guard product.op != "Conv", product.input(2) == nil, product.input(3) == nil,
      let constant = graph.values[id].constant, constant.rank == 1,
      let shape = graph.values[product.outputs[0]].type.shape, shape.count >= 2
    else { return false }
    return shape[shape.count - 1] == .known(constant.count)
  }

  /// Whether `id` is known to broadcast to the product's shape; for Conv, to have that very shape.
  private static func fits(_ id: ValueID, _ product: Node, _ graph: Graph) -> Bool {
    let result = product.outputs[0]
    if graph.haveSameShape(id, result) { return true }
    guard product.op == "MatMul", let shape = graph.values[result].type.shape,
      let other = graph.values[id].type.shape, other.count <= shape.count
    else { return false }
    return zip(shape.suffix(other.count), other).allSatisfy { wide, narrow in
      narrow == .known(1) || narrow != .unknown && narrow == wide
    }
  }

  // MARK: - Activations

  private static func activated(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard let (name, alpha, beta) = activation(node, graph),
      let product = product(node.input(0), index, graph)
    else { return nil }
    return absorb(node, into: product) {
      $0.attributes["activation"] = .string(name)
      $0.attributes["activation_alpha"] = alpha.map { .float($0) }
      $0.attributes["activation_beta"] = beta.map { .float($0) }
    }
  }

  private static func activation(_ node: Node, _ graph: Graph) -> (String, Float?, Float?)? {
    switch node.op {
    case "Relu", "Sigmoid", "Tanh", Silu.schema.id, "HardSwish": return (node.op.name, nil, nil)
    case "Gelu":
      if case .string("tanh") = node.attributes["approximate"] { return ("GeluTanh", nil, nil) }
      return ("Gelu", nil, nil)
    case "LeakyRelu": return ("LeakyRelu", node.float("alpha", default: 0.01), nil)
    case "HardSigmoid":
      return (
        "HardSigmoid", node.float("alpha", default: 0.2), node.float("beta", default: 0.5)
      )
    case "Clip":
      var bounds: [Float?] = []
      for slot in 1...2 {
        guard let id = node.input(slot) else {
          bounds.append(nil)
          continue
        }
        guard let bound = graph.scalar(id) else { return nil }
        bounds.append(Float(bound))
      }
      return ("Clip", bounds[0], bounds[1])
    default: return nil
    }
  }
}
