import MartletBackends
import MartletCore

/// Scaled dot-product attention: softmax(scale * Q @ K^T + mask) @ V per head.
///
/// Q [B, Hq, L, E], K [B, Hk, T, E], V [B, Hk, T, Ev] with Hq a multiple of Hk, or the same with heads
/// inside the last axis ([B, L, Hq * E], …). Key and value may be preceded by past ones. The mask is
/// bool (true: attend) or added. Both products run in the mode's precision; softmax is f32 (f64 for
/// f64). Masked entries stay masked under softcap. Token t's result does not depend on what comes
/// after it.
///
/// Complexity: 2·B·Hq·L·T·(E + Ev) floating-point operations; scratch for the scores of some rows.
/// Source: ONNX Attention-24.
package struct Attention: Operator {
  package static let schema = OperatorSchema(
    name: "Attention",
    inputs: [
      "Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen",
    ], requiredInputs: 3,
    outputs: ["Y", "present_key", "present_value", "qk_matmul_output"],
    attributes: [
      "is_causal": "Whether position i attends to positions up to i (plus the past) only (0).",
      "kv_num_heads": "Heads of K and V, where they are inside the last axis.",
      "q_num_heads": "Heads of Q, where they are inside the last axis.",
      "qk_matmul_output_mode":
        "What qk_matmul_output holds: 0 the scaled product, 1 with the mask, 2 with softcap too, 3 after softmax.",
      "scale": "The factor of Q @ K^T (1 / sqrt(E)).",
      "softcap": "Scores become softcap * tanh(scores / softcap); 0: they do not.",
      "softmax_precision": "Accepted; softmax never runs in less than float32.",
    ])

  private enum Scores: Int {
    case product, masked, capped, probabilities
  }

  private let isCausal: Bool
  private let queryHeads: Int?
  private let keyHeads: Int?
  private let scale: Float?
  private let softcap: Float
  private let scoresOutput: Scores
  private let outputCount: Int
  /// Bytes of scores that are held at a time.
  private static let scoreBytes = 16 << 20

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    isCausal = try attributes.bool("is_causal", default: false)
    queryHeads = try attributes.optionalInt("q_num_heads")
    keyHeads = try attributes.optionalInt("kv_num_heads")
    scale = try attributes.optionalFloat("scale")
    softcap = try attributes.float("softcap", default: 0)
    _ = try attributes.optionalInt("softmax_precision")
    let mode = try attributes.int("qk_matmul_output_mode", default: 0)
    guard let scores = Scores(rawValue: mode) else {
      throw MartletError(
        .invalidArgument, "Attention: qk_matmul_output_mode is \(mode)",
        operatorName: "Attention", input: "qk_matmul_output_mode", expected: "0 to 3",
        actual: "\(mode)")
    }
    scoresOutput = scores
    outputCount = node.outputCount
    for (name, heads) in [("q_num_heads", queryHeads), ("kv_num_heads", keyHeads)] {
      guard let heads, heads < 1 else { continue }
      throw MartletError(
        .invalidArgument, "Attention: \(name) is \(heads)", operatorName: "Attention",
        input: name, expected: ">= 1", actual: "\(heads)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
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
    let q = split(inputs.type(0)?.shape, queryHeads)
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

  package func run(_ inputs: [Tensor?], _ context: RunContext) throws(MartletError) -> [Tensor] {
    let inputs = Inputs(inputs, Self.schema)
    let query = try inputs.float(0)
    let type = query.dtype.computeType
    func operand(_ index: Int) throws(MartletError) -> Tensor {
      try context.converted(try inputs.required(index, \.isFloatingPoint, "a float"), to: type)
    }
    let q = try heads(try operand(0), queryHeads, "Q", "q_num_heads")
    var k = try heads(try operand(1), keyHeads, "K", "kv_num_heads")
    var v = try heads(try operand(2), keyHeads, "V", "kv_num_heads")
    let pastLength = inputs.optional(4)?.shape.dropFirst(2).first ?? 0
    if outputCount > 1 || inputs.optional(4) != nil || inputs.optional(5) != nil {
      k = try joined(try past(inputs, 4, type, context), k, "past_key", context)
      v = try joined(try past(inputs, 5, type, context), v, "past_value", context)
    }
    try check(q, k, v)
    let (batch, length, total) = (q.shape[0], q.shape[2], k.shape[2])
    let valueWidth = v.shape[3]
    let mask = try AttentionMask(
      inputs.optional(3), shape: [batch, q.shape[1], length, total], type,
      needsWall: softcap > 0, context)
    let lengths = try inputs.optionalIntegers(6)
    if let lengths, lengths.count != batch {
      throw .shape(
        "Attention", "nonpad_kv_seqlen", expected: "[\(batch)]", actual: "[\(lengths.count)]",
        input: "nonpad_kv_seqlen")
    }

    let shape =
      query.rank == 3
      ? [batch, length, q.shape[1] * valueWidth] : [batch, q.shape[1], length, valueWidth]
    let result =
      try query.dtype == type ? context.output(0, type, shape) : context.scratch(type, shape)
    let resultHeads = try heads(
      result, query.rank == 3 ? q.shape[1] : nil, "Y", "q_num_heads")
    let exposed =
      outputCount > 3
      ? try context.scratch(type, [batch, q.shape[1], length, total]) : nil

    // Some rows of all heads at a time: no row's result depends on its neighbours.
    let rowBytes = Double(batch * q.shape[1]) * Double(total) * Double(type.byteCount)
    let rows = max(1, min(length, Int(Double(Self.scoreBytes) / max(rowBytes, 1))))
    let alreadyNoted = context.executions.count
    for first in stride(from: 0, to: length, by: rows) {
      // The report names each of the two products once.
      defer { context.executions.removeLast(max(0, context.executions.count - alreadyNoted - 2)) }
      let count = min(rows, length - first)
      func part(_ tensor: Tensor) -> Tensor {
        tensor.sliced(axis: 2, start: first, count: count, step: 1)
      }
      let scores = try context.scratch(type, [batch, q.shape[1], count, total])
      try fillScores(
        scores, part(q), k, mask?.part(part), exposed.map(part), context)
      MaskedSoftmax.run(scores, pool: context.pool) { row in
        let limit = lengths.map { $0[row / (count * q.shape[1])] } ?? total
        return isCausal ? min(limit, pastLength + first + row % count + 1) : limit
      }
      if let exposed, scoresOutput == .probabilities {
        Copying.copy(scores, into: part(exposed), context.workspace)
      }
      try multiply(scores, v, into: part(resultHeads), alpha: 1, adding: nil, context)
    }
    if let exposed, scoresOutput == .masked || scoresOutput == .capped {
      MaskedSoftmax.hide(exposed) { row in
        let limit = lengths.map { $0[row / (length * q.shape[1])] } ?? total
        return isCausal ? min(limit, pastLength + row % length + 1) : limit
      }
    }

    var outputs = [try context.finish(result, as: query.dtype)]
    for (index, tensor) in [k, v, exposed].enumerated() where outputCount > index + 1 {
      guard let tensor else { continue }
      outputs.append(try delivered(tensor, index + 1, query.dtype, context))
    }
    return outputs
  }

  // MARK: - Scores

  /// scores = cap(scale * q @ k^T + mask), with the caller's copy on the way.
  private func fillScores(
    _ scores: Tensor, _ q: Tensor, _ k: Tensor, _ mask: AttentionMask?, _ exposed: Tensor?,
    _ context: RunContext
  ) throws(MartletError) {
    let workspace = context.workspace
    func expose(_ stage: Scores) {
      if let exposed, scoresOutput == stage { Copying.copy(scores, into: exposed, workspace) }
    }
    let isDouble = scores.dtype == .float64
    let factor = scale.map { Double($0) } ?? 1 / Double(max(q.shape[3], 1)).squareRoot()
    let fusesMask = !isDouble && (exposed == nil || scoresOutput != .product)
    try multiply(
      q, k.matrixTransposed, into: scores, alpha: isDouble ? 1 : Float(factor),
      adding: fusesMask ? mask?.additive : nil, context)
    if isDouble {
      let scalar = try Tensor(uninitialized: .float64, [])
      SmallTensors.write(factor, to: scalar)
      try Elementwise.binary(.mul, scores, scalar, into: scores, workspace)
    }
    expose(.product)
    if let mask, !fusesMask {
      try Elementwise.binary(.add, scores, mask.additive, into: scores, workspace)
    }
    expose(.masked)
    if softcap > 0 {
      let stages: [UnaryFunction] = [
        .affine(scale: 1 / softcap, offset: 0), .tanh, .affine(scale: softcap, offset: 0),
      ]
      for function in stages {
        try Elementwise.unary(function, scores, into: scores, workspace)
      }
      // tanh has made the -Inf of masked entries finite: hide them again.
      if let wall = mask?.wall {
        try Elementwise.binary(.add, scores, wall, into: scores, workspace)
      }
    }
    expose(.capped)
  }

  /// dst [B, H, L, N] = alpha * lhs [B, H, L, K] @ rhs [B, H / group, K, N] + addend.
  private func multiply(
    _ lhs: Tensor, _ rhs: Tensor, into dst: Tensor, alpha: Float, adding addend: Tensor?,
    _ context: RunContext
  ) throws(MartletError) {
    func view(_ tensor: Tensor) -> MatrixView {
      MatrixView(
        tensor.pointer, tensor.dtype, rowStride: tensor.strides[2],
        columnStride: tensor.strides[3])
    }
    var problem = GEMMProblem(
      m: lhs.shape[2], n: rhs.shape[3], k: lhs.shape[3], lhs: view(lhs), rhs: view(rhs),
      dst: view(dst), mode: context.mode)
    let group = rhs.shape[1] == 0 ? 1 : lhs.shape[1] / rhs.shape[1]
    let added = addend?.strides ?? [0, 0, 0, 0]
    problem.batch = [
      BatchAxis(
        count: lhs.shape[0], lhsStride: lhs.strides[0], rhsStride: rhs.strides[0],
        dstStride: dst.strides[0], residualStride: added[0]),
      BatchAxis(
        count: rhs.shape[1], lhsStride: lhs.strides[1] * group, rhsStride: rhs.strides[1],
        dstStride: dst.strides[1] * group, residualStride: added[1] * group),
      BatchAxis(
        count: group, lhsStride: lhs.strides[1], rhsStride: 0, dstStride: dst.strides[1],
        residualStride: added[1]),
    ]
    problem.epilogue.alpha = alpha
    if let addend { problem.epilogue.residual = view(addend) }
    context.note(try Backends.run(problem, pool: context.pool))
    for tensor in [lhs, rhs, dst, addend] { tensor?.keepAlive() }
  }

  // MARK: - Operands

  /// A view [B, H, L, E]; `heads` says how many there are inside a last axis of rank 3.
  private func heads(
    _ tensor: Tensor, _ heads: Int?, _ name: String, _ attribute: String
  ) throws(MartletError) -> Tensor {
    if tensor.rank == 4 { return tensor }
    guard tensor.rank == 3, let heads, tensor.shape[2] % heads == 0 else {
      throw .shape(
        "Attention", "\(name)",
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

  private func past(
    _ inputs: Inputs, _ index: Int, _ type: DType, _ context: RunContext
  ) throws(MartletError) -> Tensor? {
    guard let tensor = inputs.optional(index) else { return nil }
    return try context.converted(tensor, to: type)
  }

  /// past and new one after another along the sequence; contiguous.
  private func joined(
    _ past: Tensor?, _ new: Tensor, _ name: String, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    guard let past else { return try context.contiguous(new) }
    let fits =
      past.rank == 4 && past.shape[0] == new.shape[0] && past.shape[1] == new.shape[1]
      && past.shape[3] == new.shape[3]
    guard fits else {
      throw .shape(
        "Attention", name,
        expected: "[\(new.shape[0]), \(new.shape[1]), ..., \(new.shape[3])]",
        actual: Shape.text(past.shape), input: name)
    }
    var shape = new.shape
    shape[2] += past.shape[2]
    let whole = try context.scratch(new.dtype, shape)
    var start = 0
    for piece in [past, new] {
      let target = whole.sliced(axis: 2, start: start, count: piece.shape[2], step: 1)
      Copying.copy(piece, into: target, context.workspace)
      start += piece.shape[2]
    }
    return whole
  }

  private func check(_ q: Tensor, _ k: Tensor, _ v: Tensor) throws(MartletError) {
    let fits =
      k.shape[0] == q.shape[0] && v.shape[0] == q.shape[0] && k.shape[1] == v.shape[1]
      && k.shape[2] == v.shape[2] && k.shape[3] == q.shape[3]
      && (k.shape[1] == 0 ? q.shape[1] == 0 : q.shape[1] % k.shape[1] == 0)
    guard fits else {
      throw .shape(
        "Attention", "Q, K and V by head",
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
