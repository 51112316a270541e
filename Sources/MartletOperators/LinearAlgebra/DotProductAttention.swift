import MartletBackends
import MartletCore

/// What Attention and FusedAttention have in common, by the names of Attention's inputs and attributes.
struct DotProductAttention: Sendable {
  var isCausal = false
  /// Keys to see before and after a query's position; nil: all.
  var leftWindow: Int?
  var rightWindow: Int?
  /// Whether batches, heads and the mask broadcast as those of MatMul and Add would.
  var broadcasts = false
  /// What a query that sees no key gives.
  var empty = EmptyAttention.zero
  /// Heads inside a last axis of rank 3.
  var queryHeads: Int?
  var keyHeads: Int?
  /// nil: 1 / sqrt(E).
  var scale: Float?
  var softcap: Float = 0
  var scoresOutput = AttentionCall.Stage.product
  let outputCount: Int
  let operatorName: String

  init(_ node: OperatorNode) {
    outputCount = node.outputCount
    operatorName = node.attributes.operatorName
  }

  func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    func split(_ shape: [Dimension]?, _ heads: Int?) -> [Dimension]? {
      guard let shape else { return nil }
      if shape.count == 4 { return shape }
      guard shape.count == 3, let heads else { return nil }
      let width: Dimension =
        if case .known(let value) = shape[2], value % heads == 0 { .known(value / heads) } else {
          .unknown
        }
      return [shape[0], .known(heads), shape[1], width]
    }
    var q = split(inputs.type(0)?.shape, queryHeads)
    let k = split(inputs.type(1)?.shape, keyHeads)
    let v = split(inputs.type(2)?.shape, keyHeads)
    func present(_ new: [Dimension]?, _ past: ValueType?) -> [Dimension]? {
      guard var new else { return nil }
      if let past {
        new[2] =
          past.shape.map { $0.count == 4 ? Inference.plus($0[2], new[2]) : .unknown }
          ?? .unknown
      }
      return new
    }
    let keys = present(k, inputs.type(4))
    if broadcasts { q = try broadcastQuery(q, keys, v, inputs.type(3)) }
    var result: [Dimension]?
    if let q, let v {
      result =
        inputs.type(0)?.shape?.count == 3
        ? [q[0], q[2], Inference.times(q[1], v[3])] : [q[0], q[1], q[2], v[3]]
    }
    var scores: [Dimension]?
    if let q, let keys { scores = [q[0], q[1], q[2], keys[2]] }
    let all = [
      ValueType(dtype: dtype, shape: result),
      ValueType(dtype: inputs.type(1)?.dtype ?? dtype, shape: keys),
      ValueType(dtype: inputs.type(2)?.dtype ?? dtype, shape: present(v, inputs.type(5))),
      ValueType(dtype: dtype, shape: scores),
    ]
    return Array(all.prefix(max(outputCount, 1)))
  }

  /// The query's shape [B, Hq, L, E] after broadcasting against the others.
  private func broadcastQuery(
    _ q: [Dimension]?, _ k: [Dimension]?, _ v: [Dimension]?, _ mask: ValueType?
  ) throws(MartletError) -> [Dimension]? {
    guard let q, let k, let v else { return nil }
    func broadcast(_ a: [Dimension], _ b: [Dimension]?) throws(MartletError) -> [Dimension]? {
      try Inference.broadcast(a, b, operatorName: operatorName)
    }
    guard
      var scores = try broadcast([q[0], q[1], q[2], k[2]], [k[0], k[1], .known(1), .known(1)])
    else { return nil }
    if let mask {
      guard let sum = try broadcast(scores, mask.shape), sum.count == 4 else { return nil }
      scores = sum
    }
    guard let whole = try broadcast(scores, [v[0], v[1], .known(1), .known(1)]) else { return nil }
    return [whole[0], whole[1], whole[2], q[3]]
  }

  func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let query = try inputs.float(0)
    let type = query.dtype.computeType
    func operand(_ index: Int) throws(MartletError) -> Tensor {
      try context.converted(try inputs.required(index, \.isFloatingPoint, "a float"), to: type)
    }
    var q = try heads(try operand(0), queryHeads, "Q", "q_num_heads")
    var k = try heads(try operand(1), keyHeads, "K", "kv_num_heads")
    var v = try heads(try operand(2), keyHeads, "V", "kv_num_heads")
    let past = inputs.optional(4)?.shape.dropFirst(2).first
    var grown: [State?] = [nil, nil]
    if outputCount > 1 || inputs.optional(4) != nil || inputs.optional(5) != nil {
      (k, grown[0]) = try present(inputs, 4, k, type, context)
      (v, grown[1]) = try present(inputs, 5, v, type, context)
    }
    if broadcasts { try broadcast(&q, &k, &v, inputs.optional(3)) }
    try check(q, k, v)
    let lengths = try inputs.optionalIntegers(6, context)
    if let lengths, lengths.count != q.shape[0] {
      throw .shape(
        operatorName, "nonpad_kv_seqlen", expected: "[\(q.shape[0])]",
        actual: "[\(lengths.count)]", input: "nonpad_kv_seqlen")
    }
    let scoresShape = [q.shape[0], q.shape[1], q.shape[2], k.shape[2]]
    let mask = try AttentionMask(inputs.optional(3), shape: scoresShape, context)
    let call = AttentionCall(
      q: q, k: k, v: v, mask: mask,
      scale: scale.map { Double($0) } ?? 1 / Double(max(q.shape[3], 1)).squareRoot(),
      softcap: softcap, visible: visible(lengths, queries: q.shape[2], past: past), empty: empty)

    let (result, resultHeads) = try makeResult(query, q, v, type, context)
    let exposed = outputCount > 3 ? try context.scratch(type, scoresShape) : nil
    if type == .float32 {
      try call.runFused(into: resultHeads, context)
      if let exposed { try call.runPlain(into: nil, exposing: (scoresOutput, exposed), context) }
    } else {
      try call.runPlain(
        into: resultHeads, exposing: exposed.map { (scoresOutput, $0) }, context)
    }

    context.deliver(try context.finish(result, as: query.dtype))
    for (index, tensor) in [k, v, exposed].enumerated() where outputCount > index + 1 {
      if index < 2, let state = grown[index] {
        context.deliver(.state(state))
        continue
      }
      guard let tensor else { continue }
      context.deliver(try delivered(tensor, index + 1, query.dtype, context))
    }
  }

  /// Which keys the queries may see but for the mask; `past` is the length of past keys.
  private func visible(_ lengths: [Int]?, queries: Int, past: Int?) -> VisibleKeys {
    var visible = VisibleKeys()
    visible.lengths = lengths
    if past == nil { visible.batchOffsets = lengths?.map { $0.addingClamped(-queries) } }
    let right = isCausal ? 0 : rightWindow
    visible.causalOffset = right.map { $0.addingClamped(past ?? 0) }
    visible.windowOffset = leftWindow.map { (past ?? 0).addingClamped(-$0) }
    return visible
  }

  /// Memory for the result, and its view [B, Hq, L, Ev]. Where nobody wants it elsewhere, it lies as the
  /// query does: with the heads of a token together, so that joining them costs nothing.
  private func makeResult(
    _ query: Tensor, _ q: Tensor, _ v: Tensor, _ type: DType, _ context: RunContext
  ) throws(MartletError) -> (result: Tensor, heads: Tensor) {
    let tokens = [q.shape[0], q.shape[2], q.shape[1], v.shape[3]]
    if query.rank == 3 {
      let whole = try Shape.elementCount([tokens[2], tokens[3]])
      let shape = [tokens[0], tokens[1], whole]
      let result =
        try query.dtype == type ? context.output(0, type, shape) : context.scratch(type, shape)
      return (result, try heads(result, tokens[2], "Y", "q_num_heads"))
    }
    let isWanted = context.isPlaceGiven && context.place(0) != nil
    if query.dtype == type, !isWanted, q.strides[1] < q.strides[2] {
      let result = try context.output(0, type, tokens).permuted([0, 2, 1, 3])
      return (result, result)
    }
    let shape = [tokens[0], tokens[2], tokens[1], tokens[3]]
    let result =
      try query.dtype == type ? context.output(0, type, shape) : context.scratch(type, shape)
    return (result, result)
  }

  // MARK: - Operands

  /// The operands as the products and the sum would broadcast them; views.
  private func broadcast(
    _ q: inout Tensor, _ k: inout Tensor, _ v: inout Tensor, _ mask: Tensor?
  ) throws(MartletError) {
    func common(_ a: [Int], _ b: [Int], _ what: String) throws(MartletError) -> [Int] {
      guard let shape = Shape.broadcast(a, b) else {
        throw .shape(
          operatorName, "\(what) does not broadcast",
          expected: "a shape that broadcasts with \(Shape.text(a))",
          actual: Shape.text(b), input: what)
      }
      return shape
    }
    var scores = try common(
      [q.shape[0], q.shape[1], q.shape[2], k.shape[2]], [k.shape[0], k.shape[1], 1, 1], "K")
    if let mask { scores = try common(scores, mask.shape, "attn_mask") }
    guard scores.count == 4, scores[3] == k.shape[2] || k.shape[2] == 1 else {
      throw .shape(
        operatorName, "attn_mask", expected: "a shape that broadcasts to \(Shape.text(scores))",
        actual: Shape.text(mask?.shape ?? []), input: "attn_mask")
    }
    let whole = try common(scores, [v.shape[0], v.shape[1], 1, 1], "V")
    let sharesHead = k.shape[1] == 1 && v.shape[1] == 1
    let keyHeads = sharesHead ? 1 : whole[1]
    q = try q.broadcast(to: [whole[0], whole[1], whole[2], q.shape[3]])
    k = try k.broadcast(to: [whole[0], keyHeads, whole[3], k.shape[3]])
    v = try v.broadcast(to: [whole[0], keyHeads, v.shape[2], v.shape[3]])
  }

  /// A view [B, H, L, E]; `heads` says how many there are inside a last axis of rank 3.
  private func heads(
    _ tensor: Tensor, _ heads: Int?, _ name: String, _ attribute: String
  ) throws(MartletError) -> Tensor {
    if tensor.rank == 4 { return tensor }
    guard tensor.rank == 3, let heads, tensor.shape[2] % heads == 0 else {
      throw .shape(
        operatorName, "\(name)",
        expected: "rank 4, or rank 3 and \(attribute) dividing the last axis",
        actual: Shape.text(tensor.shape), input: name)
    }
    let width = tensor.shape[2] / heads
    return Tensor(
      unchecked: tensor.storage, dtype: tensor.dtype,
      shape: [tensor.shape[0], heads, tensor.shape[1], width],
      strides: [
        tensor.strides[0], width * tensor.strides[2], tensor.strides[1], tensor.strides[2],
      ], byteOffset: tensor.byteOffset)
  }

  /// The past at input `index` and the new keys (values) behind it. A past that is a state grows in
  /// place: then it comes back too. Else the whole is contiguous.
  private func present(
    _ inputs: Inputs, _ index: Int, _ new: Tensor, _ type: DType, _ context: RunContext
  ) throws(MartletError) -> (Tensor, State?) {
    guard let past = inputs.optional(index) else { return (try context.contiguous(new), nil) }
    let fits =
      past.rank == 4 && past.shape[0] == new.shape[0] && past.shape[1] == new.shape[1]
      && past.shape[3] == new.shape[3]
    guard fits else {
      throw .shape(
        operatorName, inputs.name(index),
        expected: "[\(new.shape[0]), \(new.shape[1]), ..., \(new.shape[3])]",
        actual: Shape.text(past.shape), input: inputs.name(index))
    }
    if let state = inputs.state(index), state.axis == 2, past.dtype == type {
      let (grown, added) = try state.extended(by: new.shape[2], context.memory)
      Copying.copy(new, into: added, context.workspace)
      return (grown.tensor, grown)
    }
    var shape = new.shape
    let (length, overflow) = shape[2].addingReportingOverflow(past.shape[2])
    guard !overflow else {
      throw .shape(
        operatorName, inputs.name(index), expected: "at most \(Int.max - new.shape[2]) tokens",
        actual: Shape.text(past.shape), input: inputs.name(index))
    }
    shape[2] = length
    let whole = try context.scratch(type, shape)
    var start = 0
    for piece in [try context.converted(past, to: type), new] {
      let target = whole.sliced(axis: 2, start: start, count: piece.shape[2], step: 1)
      Copying.copy(piece, into: target, context.workspace)
      start += piece.shape[2]
    }
    return (whole, nil)
  }

  private func check(_ q: Tensor, _ k: Tensor, _ v: Tensor) throws(MartletError) {
    let fits =
      k.shape[0] == q.shape[0] && v.shape[0] == q.shape[0] && k.shape[1] == v.shape[1]
      && k.shape[2] == v.shape[2] && k.shape[3] == q.shape[3]
      && (k.shape[1] == 0 ? q.shape[1] == 0 : q.shape[1] % k.shape[1] == 0)
    guard fits else {
      throw .shape(
        operatorName, "Q, K and V by head",
        expected: "[B, Hq, L, E], [B, Hk, T, E] and [B, Hk, T, Ev] with Hq a multiple of Hk",
        actual: "\(Shape.text(q.shape)), \(Shape.text(k.shape)) and \(Shape.text(v.shape))")
    }
  }

  /// A computed tensor as output `index`, in the caller's memory where it said so.
  private func delivered(
    _ tensor: Tensor, _ index: Int, _ dtype: DType, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let output = try context.output(index, dtype, tensor.shape)
    if tensor.dtype == dtype {
      Copying.copy(tensor, into: output, context.workspace)
    } else {
      try Casting.cast(tensor, into: output, context.workspace)
    }
    return output
  }
}
