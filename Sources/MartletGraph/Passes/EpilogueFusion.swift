import MartletCore
import MartletOperators

/// Moves what follows a matrix product into it, where it costs next to nothing while the tile is in
/// registers: a scalar factor, a bias, a residual, an activation.
///
/// The product becomes one of Martlet's own operators (`EpilogueSlots`) and takes the place of the last
/// node that it absorbs: y = activation(alpha * product + bias + residual). Only values that nobody
/// else reads are absorbed, and shapes must be known to fit: a sum that would broadcast the product
/// itself stays a node.
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

  /// A product that makes a value for one reader alone and has no activation yet.
  private struct Product {
    let node: Node
    let slots: EpilogueSlots

    init?(_ id: ValueID?, _ index: GraphIndex, _ graph: Graph) {
      guard let id, index.isReadOnce(id), let position = index.position(of: id) else { return nil }
      node = graph.nodes[position]
      guard node.outputs.first == id, node.attributes["activation"] == nil,
        let slots = node.traits.epilogue
      else { return nil }
      self.slots = slots
    }

    /// The product with the outputs of `last`, which it does the work of.
    func absorbing(_ last: Node, _ change: (inout Node) -> Void) -> Node {
      var fused = node
      fused.op = slots.form
      fused.outputs = last.outputs
      fused.fused += [last.name] + last.fused
      change(&fused)
      return fused
    }
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
      let product = Product(value, index, graph), let attribute = product.slots.factor,
      product.node.inputs.count == 2
    else { return nil }
    return product.absorbing(node) {
      scale(&$0, attribute, by: node.op == "Mul" ? number : 1 / number)
    }
  }

  /// MatMul(a * s, b * t).
  private static func scaledOperands(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard let slots = node.traits.epilogue, let attribute = slots.factor else { return nil }
    var fused = node
    fused.op = slots.form
    for slot in 0...1 {
      guard let factor = index.producer(node.input(slot), "Mul", "Div", in: graph),
        index.isReadOnce(factor.outputs[0]), let (value, number) = graph.scalarOperand(factor),
        number != 0, factor.op == "Mul" || factor.input(0) == value,
        graph.values[value].constant == nil
      else { continue }
      fused.inputs[slot] = value
      fused.fused.append(factor.name)
      scale(&fused, attribute, by: factor.op == "Mul" ? number : 1 / number)
    }
    return fused.fused.count > node.fused.count ? fused : nil
  }

  private static func scale(_ node: inout Node, _ attribute: String, by factor: Double) {
    let alpha = Double(node.float(attribute, default: 1)) * factor
    node.attributes[attribute] = .float(Float(alpha))
  }

  // MARK: - Sums

  private static func sum(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard node.inputs.count == 2 else { return nil }
    for (first, second) in [(0, 1), (1, 0)] {
      guard let product = Product(node.input(first), index, graph),
        let other = node.input(second), graph.isFloat32(other)
      else { continue }
      if let slot = biasSlot(of: product, for: other, graph) {
        return product.absorbing(node) {
          set(slot, of: &$0, to: other)
          if let factor = product.slots.biasFactor { $0.attributes[factor] = nil }
        }
      }
      if product.node.input(product.slots.residual) == nil, fits(other, product, graph) {
        return product.absorbing(node) { set(product.slots.residual, of: &$0, to: other) }
      }
    }
    return nil
  }

  /// The input that `id` can be: it is a constant with one value per column of a product that has no
  /// bias.
  private static func biasSlot(of product: Product, for id: ValueID, _ graph: Graph) -> Int? {
    guard let slot = product.slots.columnBias, product.node.input(slot) == nil,
      product.node.input(product.slots.residual) == nil,
      let constant = graph.values[id].constant, constant.rank == 1,
      let shape = graph.values[product.node.outputs[0]].type.shape, shape.count >= 2
    else { return nil }
    return shape[shape.count - 1] == .known(constant.count) ? slot : nil
  }

  /// Whether `id` is known to have the product's shape, or to broadcast to it where it may.
  private static func fits(_ id: ValueID, _ product: Product, _ graph: Graph) -> Bool {
    let result = product.node.outputs[0]
    if graph.haveSameShape(id, result) { return true }
    guard product.slots.broadcastsResidual, let shape = graph.values[result].type.shape,
      let other = graph.values[id].type.shape, other.count <= shape.count
    else { return false }
    return zip(shape.suffix(other.count), other).allSatisfy { wide, narrow in
      narrow == .known(1) || narrow != .unknown && narrow == wide
    }
  }

  // MARK: - Activations

  private static func activated(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard let activation = Activation(node, graph), activation.row.uses.contains(.epilogue),
      let product = Product(node.input(0), index, graph)
    else { return nil }
    return product.absorbing(node) {
      $0.attributes["activation"] = .string(activation.row.name)
      $0.attributes["activation_alpha"] = activation.alpha.map { .float($0) }
      $0.attributes["activation_beta"] = activation.beta.map { .float($0) }
    }
  }
}
