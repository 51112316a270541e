import MartletCore
import MartletOperators

/// Recognises attention that an exporter has written out: softmax over the last axis between two
/// products.
///
/// The scores are taken apart into scale * q @ k^T + mask, wherever the exporter multiplies or divides
/// by scalars (q, k, the product) and in whatever order it transposes k. Transpositions are views, and
/// attention reads any strides, so they stay nodes. Extents need not be known: what products and the
/// sum broadcast, the attention broadcasts too (its attribute `broadcast`).
enum AttentionRecognition {
  static let pass = Pass("attention-recognition") { graph throws(MartletError) in
    let index = GraphIndex(graph)
    for position in graph.nodes.indices {
      let node = graph.nodes[position]
      guard node.operatorName == "MatMul", let found = match(node, index, graph) else { continue }
      graph.nodes[position] = rewritten(node, found, &graph)
    }
  }

  /// Attention with q [B, Hq, L, E], k [B, Hk, T, E] and v [B, Hk, T, Ev], or all without the head axis.
  private struct Match {
    var q: Operand
    var k: Operand
    var v: Operand
    var scale: Double
    var mask: ValueID?
    var nodes: [Node]
  }

  /// A transposed view of a value: its axis i is axis `order[i]` of `source`, times `scale`.
  private struct Operand {
    var source: ValueID
    var order: [Int]
    var scale = 1.0

    init?(_ id: ValueID?, _ index: GraphIndex, _ graph: Graph) {
      guard let id, let rank = graph.values[id].type.shape?.count else { return nil }
      source = id
      order = Array(0..<rank)
      while true {
        if let node = index.producer(source, "Mul", "Div", in: graph),
          let (value, number) = factor(node, graph)
        {
          source = value
          scale *= number
        } else if let node = index.producer(source, "Transpose", in: graph),
          let value = node.input(0), let own = permutation(node, rank: rank)
        {
          source = value
          order = order.map { own[$0] }
        } else {
          return
        }
      }
    }

    var isPlain: Bool { order == Array(order.indices) }

    func shape(in graph: Graph) -> [Dimension]? {
      graph.values[source].type.shape.flatMap { shape in
        shape.count == order.count ? order.map { shape[$0] } : nil
      }
    }
  }

  // MARK: - Matching

  private static func match(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Match? {
    guard graph.isFloat32(node.outputs.first), node.inputs.count == 2,
      let softmax = index.producer(node.input(0), "Softmax", in: graph),
      index.isReadOnce(softmax.outputs[0]), let scores = softmax.input(0),
      let rank = graph.values[scores].type.shape?.count, rank == 3 || rank == 4,
      [-1, rank - 1].contains(softmax.int("axis", default: -1)),
      let parts = scoreParts(scores, index, graph), parts.product.inputs.count == 2,
      let q = Operand(parts.product.input(0), index, graph), q.order.count == rank,
      var k = Operand(parts.product.input(1), index, graph), k.order.count == rank,
      let v = Operand(node.input(1), index, graph), v.order.count == rank
    else { return nil }
    k.order.swapAt(rank - 2, rank - 1)
    let scale = parts.scale * q.scale * k.scale
    guard v.scale == 1, scale.isFinite, scale != 0 else { return nil }
    if let mask = parts.mask {
      // Beside operands of rank 3, a mask [B, L, T] would be taken for [heads, L, T].
      guard let maskRank = graph.values[mask].type.shape?.count, maskRank <= (rank == 4 ? 4 : 2)
      else { return nil }
    }
    return Match(
      q: q, k: k, v: v, scale: scale, mask: parts.mask, nodes: parts.nodes + [softmax])
  }

  /// scale * product [+ mask], each step for one reader.
  private static func scoreParts(_ root: ValueID, _ index: GraphIndex, _ graph: Graph)
    -> (product: Node, scale: Double, mask: ValueID?, nodes: [Node])?
  {
    var id = root
    var scale = 1.0
    var mask: ValueID?
    var nodes: [Node] = []
    for _ in 0..<6 {
      guard index.isReadOnce(id) else { return nil }
      if let product = index.producer(id, "MatMul", in: graph) {
        return (product, scale, mask, nodes + [product])
      }
      if let node = index.producer(id, "Mul", "Div", in: graph),
        let (value, number) = factor(node, graph)
      {
        scale *= number
        id = value
        nodes.append(node)
      } else if let node = index.producer(id, "Add", in: graph), mask == nil, scale == 1,
        let (value, added) = addend(node, index, graph)
      {
        mask = added
        id = value
        nodes.append(node)
      } else {
        return nil
      }
    }
    return nil
  }

  /// Of a sum, the scores and what is added to them.
  private static func addend(_ node: Node, _ index: GraphIndex, _ graph: Graph)
    -> (scores: ValueID, mask: ValueID)?
  {
    for (first, second) in [(0, 1), (1, 0)] {
      guard let scores = node.input(first), let mask = node.input(second), graph.isFloat32(mask),
        leadsToProduct(scores, index, graph)
      else { continue }
      return (scores, mask)
    }
    return nil
  }

  private static func leadsToProduct(_ id: ValueID, _ index: GraphIndex, _ graph: Graph) -> Bool {
    if index.producer(id, "MatMul", in: graph) != nil { return true }
    guard let node = index.producer(id, "Mul", "Div", in: graph),
      let (value, _) = factor(node, graph)
    else { return false }
    return leadsToProduct(value, index, graph)
  }

  /// value * number for Mul and Div by a scalar that is not zero.
  private static func factor(_ node: Node, _ graph: Graph) -> (value: ValueID, number: Double)? {
    guard let (value, number) = graph.scalarOperand(node), number != 0 else { return nil }
    if node.operatorName == "Mul" { return (value, number) }
    return node.input(0) == value ? (value, 1 / number) : nil
  }

  private static func permutation(_ node: Node, rank: Int) -> [Int]? {
    guard case .ints(let order)? = node.attributes["perm"] else {
      return node.attributes["perm"] == nil ? Array((0..<rank).reversed()) : nil
    }
    return order.sorted() == Array(0..<rank) ? order : nil
  }

  // MARK: - Rewriting

  private static func rewritten(_ node: Node, _ match: Match, _ graph: inout Graph) -> Node {
    var attributes: [String: AttributeValue] = [
      "scale": .float(Float(match.scale)), "broadcast": .int(1),
    ]
    if match.q.order.count == 3 {
      attributes["q_num_heads"] = .int(1)
      attributes["kv_num_heads"] = .int(1)
    }
    var inputs: [ValueID?] = []
    for operand in [match.q, match.k, match.v] { inputs.append(value(operand, &graph)) }
    if let mask = match.mask { inputs.append(mask) }
    return node.becoming(
      "Attention", inputs: inputs, attributes: attributes, absorbing: match.nodes)
  }

  /// The operand as a value of its own: the source, or a new transposition of it.
  private static func value(_ operand: Operand, _ graph: inout Graph) -> ValueID {
    if operand.isPlain { return operand.source }
    let name = "\(graph.values[operand.source].name)/transposed\(graph.values.count)"
    let id = graph.addNode(
      "Transpose", name: name, inputs: [operand.source], outputs: [name],
      attributes: ["perm": .ints(operand.order)])[0]
    graph.values[id].type = ValueType(
      dtype: graph.values[operand.source].type.dtype, shape: operand.shape(in: graph))
    return id
  }
}
