import MartletCore
import MartletOperators

/// Recognises attention that an exporter has written out: softmax over the last axis between two
/// products.
///
/// The scores are taken apart into scale * q @ k^T + mask, wherever the exporter multiplies or divides
/// by scalars (q, k, the product) and in whatever order it transposes k. Transpositions are views, and
/// attention reads any strides, so they stay nodes. Extents need not be known: what products and the
/// sum broadcast, `FusedAttention` broadcasts too. Keys and values that were repeated for groups of
/// query heads are read as they were before, where their extents are known (its attribute `grouped`).
/// Weights may pass a guard that makes NaN zero; then rows of such weights give zero (its attribute
/// `nan_to_zero`), also where a value is Inf or NaN, which zero times it would keep.
enum AttentionRecognition {
  static let pass = Pass("attention-recognition") { graph throws(MartletError) in
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      for position in editor.positions where editor.isLive(position) {
        let node = editor.graph.nodes[position]
        guard node.op == "MatMul",
          let found = match(node, editor.index, editor.graph)
        else { continue }
        try editor.replace(position, with: try rewritten(node, found, &editor))
      }
    }
  }

  /// Attention with q [B, Hq, L, E], k [B, Hk, T, E] and v [B, Hk, T, Ev], or all without the head axis.
  private struct Match {
    var q: Operand
    var k: Operand
    var v: Operand
    var scale: Double
    var mask: ValueID?
    var makesNaNZero: Bool
    /// Whether k and v have fewer heads than q, which all extents being known permits.
    var isGrouped = false
    var nodes: [Node]
  }

  /// A transposed view of a value: its axis i is axis `order[i]` of `source`, times `scale`.
  private struct Operand {
    var source: ValueID
    var order: [Int]
    var scale = 1.0
    /// `source` is to be reshaped so first.
    var reshaped: [Dimension]?

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
        } else if let (value, shape) = turned(source, index, graph) {
          source = value
          order = order.map { $0 < rank - 2 ? $0 : 2 * rank - 3 - $0 }
          guard graph.values[value].type.shape != shape else { continue }
          reshaped = shape
          // A new reshape needs numbers.
          guard Inference.count(shape) != nil else { return nil }
          return
        } else {
          return
        }
      }
    }

    /// What is `id` with its last two axes exchanged, where they were exchanged while all axes before
    /// them were one: the value before that, and its shape but for how the axes before are parted.
    private func turned(_ id: ValueID, _ index: GraphIndex, _ graph: Graph)
      -> (value: ValueID, shape: [Dimension])?
    {
      guard let parted = index.producer(id, "Reshape", in: graph),
        let turn = index.producer(parted.input(0), "Transpose", in: graph),
        permutation(turn, rank: 3) == [0, 2, 1],
        let joined = index.producer(turn.input(0), "Reshape", in: graph),
        let value = joined.input(0), let before = graph.values[value].type.shape,
        let flat = turn.input(0).flatMap({ graph.values[$0].type.shape }), flat.count == 3,
        let after = graph.values[id].type.shape, after.count > 2,
        before.suffix(2) == flat.suffix(2), after.suffix(2) == [flat[2], flat[1]],
        !after.contains(.unknown)
      else { return nil }
      return (value, after.dropLast(2) + [flat[1], flat[2]])
    }

    var isPlain: Bool { order == Array(order.indices) }

    func shape(in graph: Graph) -> [Dimension]? {
      (reshaped ?? graph.values[source].type.shape).flatMap { shape in
        shape.count == order.count ? order.map { shape[$0] } : nil
      }
    }

    /// The operand before each of its heads was repeated for a group of query heads: [B, H, T, E] for
    /// [B, H, 1, T, E] expanded to [B, H, G, T, E] as [B, H * G, T, E].
    func ungrouped(_ index: GraphIndex, _ graph: Graph) -> (operand: Operand, group: Int)? {
      guard order.count == 4, Array(order.prefix(2)) == [0, 1] else { return nil }
      var id = source
      var whole = reshaped
      if whole == nil, let reshape = index.producer(id, "Reshape", in: graph) {
        whole = graph.values[id].type.shape
        guard let value = reshape.input(0) else { return nil }
        id = value
      }
      guard let whole, let expand = index.producer(id, "Expand", in: graph),
        let wide = graph.values[id].type.shape, wide.count == 5,
        let one = expand.input(0), let narrow = graph.values[one].type.shape, narrow.count == 5,
        narrow == [wide[0], wide[1], .known(1), wide[3], wide[4]],
        case .known = wide[0], case .known(let heads) = wide[1],
        case .known(let group) = wide[2], group > 1,
        case (let repeated, false) = heads.multipliedReportingOverflow(by: group),
        whole == [wide[0], .known(repeated), wide[3], wide[4]],
        let split = index.producer(one, "Unsqueeze", "Reshape", in: graph),
        let value = split.input(0),
        graph.values[value].type.shape == [wide[0], wide[1], wide[3], wide[4]]
      else { return nil }
      var operand = self
      operand.source = value
      operand.reshaped = nil
      return (operand, group)
    }
  }

  // MARK: - Matching

  private static func match(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Match? {
    guard graph.isFloat32(node.outputs.first),
      let (softmax, guards) = weights(node.input(0), index, graph),
      let scores = softmax.input(0),
      let rank = graph.values[scores].type.shape?.count, rank == 3 || rank == 4,
      [-1, rank - 1].contains(softmax.int("axis", default: -1)),
      let parts = scoreParts(scores, index, graph),
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
    var match = Match(
      q: q, k: k, v: v, scale: scale, mask: parts.mask, makesNaNZero: !guards.isEmpty,
      nodes: parts.nodes + [softmax] + guards)
    ungroup(&match, index, graph)
    return match
  }

  /// Reads keys and values before they were repeated, where the attention then finds the same heads.
  private static func ungroup(_ match: inout Match, _ index: GraphIndex, _ graph: Graph) {
    guard let (k, group) = match.k.ungrouped(index, graph),
      let (v, valueGroup) = match.v.ungrouped(index, graph), group == valueGroup,
      let q = match.q.shape(in: graph), let all = match.k.shape(in: graph),
      q.count == 4, case .known = q[2], case .known(let keys) = all[2],
      Array(q.prefix(2)) == Array(all.prefix(2)),
      match.v.shape(in: graph).map({ Array($0.prefix(2)) }) == Array(q.prefix(2))
    else { return }
    if let mask = match.mask {
      // Without `broadcast` a mask must not make anything larger.
      guard let shape = graph.values[mask].type.shape, shape.last == .known(keys),
        zip(shape.reversed(), [.known(keys), q[2], q[1], q[0]]).allSatisfy({
          $0 == .known(1) || $0 == $1
        })
      else { return }
    }
    match.k = k
    match.v = v
    match.isGrouped = true
  }

  /// The softmax whose result is `id` and read once, and the nodes in between that make NaN zero.
  private static func weights(_ id: ValueID?, _ index: GraphIndex, _ graph: Graph)
    -> (softmax: Node, guards: [Node])?
  {
    guard let id, index.isReadOnce(id) else { return nil }
    if let softmax = index.producer(id, "Softmax", in: graph) { return (softmax, []) }
    guard let choice = index.producer(id, "Where", in: graph),
      let zero = choice.input(1), graph.scalar(zero) == 0,
      let rank = graph.values[zero].constant?.rank,
      let test = index.producer(choice.input(0), "IsNaN", in: graph),
      index.isReadOnce(test.outputs[0]), test.input(0) == choice.input(2),
      let softmax = index.producer(choice.input(2), "Softmax", in: graph),
      index.isRead(softmax.outputs[0], times: 2),
      let shape = graph.values[softmax.outputs[0]].type.shape, rank <= shape.count
    else { return nil }
    return (softmax, [test, choice])
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
    if node.op == "Mul" { return (value, number) }
    return node.input(0) == value ? (value, 1 / number) : nil
  }

  private static func permutation(_ node: Node, rank: Int) -> [Int]? {
    guard case .ints(let order)? = node.attributes["perm"] else {
      return node.attributes["perm"] == nil ? Array((0..<rank).reversed()) : nil
    }
    return order.sorted() == Array(0..<rank) ? order : nil
  }

  // MARK: - Rewriting

  private static func rewritten(
    _ node: Node, _ match: Match, _ editor: inout GraphEditor
  ) throws(MartletError) -> Node {
    var attributes: [String: AttributeValue] = ["scale": .float(Float(match.scale))]
    if match.isGrouped { attributes["grouped"] = .int(1) }
    if match.makesNaNZero { attributes["nan_to_zero"] = .int(1) }
    var inputs: [ValueID?] = []
    for operand in [match.q, match.k, match.v] { inputs.append(try value(operand, &editor)) }
    if let mask = match.mask { inputs.append(mask) }
    return node.becoming(
      FusedAttention.schema.id, inputs: inputs, attributes: attributes, absorbing: match.nodes)
  }

  /// The operand as a value of its own: the source, or new views of it.
  private static func value(
    _ operand: Operand, _ editor: inout GraphEditor
  ) throws(MartletError) -> ValueID {
    var source = operand.source
    let name = editor.graph.values[source].name
    func newName(_ operatorName: String) -> String {
      "\(name)/\(operatorName)\(editor.graph.values.count)"
    }
    if let shape = operand.reshaped {
      var extents: [Int] = []
      for case .known(let extent) in shape { extents.append(extent) }
      let target = try Tensor(uninitialized: .int64, [extents.count])
      for (index, extent) in extents.enumerated() {
        target.typed(Int64.self)[index] = Int64(extent)
      }
      let constant = editor.addConstant("\(name)/shape", target)
      source = try editor.add("Reshape", name: newName("Reshape"), inputs: [source, constant])
    }
    if operand.isPlain { return source }
    return try editor.add(
      "Transpose", name: newName("Transpose"), inputs: [source],
      attributes: ["perm": .ints(operand.order)])
  }
}
