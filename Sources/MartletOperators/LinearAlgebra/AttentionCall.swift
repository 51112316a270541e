import MartletBackends
import MartletCore

/// One attention on operands that fit: q [B, Hq, L, E], k [B, Hk, T, E], v [B, Hk, T, Ev], all float32
/// or all float64.
struct AttentionCall {
  /// What the scores are after each step.
  enum Stage: Int {
    case product, capped, masked, probabilities
  }

  let q: Tensor
  let k: Tensor
  let v: Tensor
  let mask: AttentionMask?
  let scale: Double
  let softcap: Float
  let visible: VisibleKeys
  let empty: EmptyAttention

  /// Bytes of scores that the plain way holds at a time.
  private static let scoreBytes = 16 << 20

  private var scoresShape: [Int] { [q.shape[0], q.shape[1], q.shape[2], k.shape[2]] }

  /// float32, without the score matrix.
  func runFused(into result: Tensor, _ context: RunContext) throws(MartletError) {
    func view(_ tensor: Tensor) -> HeadsView {
      HeadsView(
        tensor.typed(Float.self), batchStride: tensor.strides[0], headStride: tensor.strides[1],
        rowStride: tensor.strides[2], columnStride: tensor.strides[3])
    }
    var problem = AttentionProblem(
      batch: q.shape[0], queryHeads: q.shape[1], keyHeads: k.shape[1], queries: q.shape[2],
      keys: k.shape[2], width: q.shape[3], valueWidth: v.shape[3], query: view(q), key: view(k),
      value: view(v), dst: view(result), scale: Float(scale), mode: context.mode)
    problem.softcap = softcap
    problem.visible = visible
    problem.empty = empty
    if let mask {
      problem.mask = try mask.view(context)
      if mask.width < problem.keys {
        problem.visible.lengths = (0..<problem.batch).map {
          min(visible.lengths?[$0] ?? mask.width, mask.width)
        }
      }
    }
    context.note(try Backends.attend(problem, pool: context.pool))
  }

  /// With the scores of some queries of all heads in memory, step by step: for float64, and where
  /// somebody wants to see the scores, in `exposing`'s tensor [B, Hq, L, T].
  func runPlain(
    into result: Tensor?, exposing exposed: (stage: Stage, scores: Tensor)?, _ context: RunContext
  ) throws(MartletError) {
    let type = q.dtype
    let (heads, length, total) = (q.shape[1], q.shape[2], k.shape[2])
    let added = try mask?.additive(scoresShape, type, context)
    let rowBytes =
      Double(q.shape[0]) * Double(heads) * Double(total) * Double(type.wholeByteCount)
    let rows = max(1, min(length, Int(Double(AttentionCall.scoreBytes) / max(rowBytes, 1))))
    // One for all parts: what a node is given lives until it has run.
    let room = try context.scratch(type, [q.shape[0], heads, rows, total])
    let alreadyNoted = context.executions.count
    for first in stride(from: 0, to: length, by: rows) {
      // The report names each of the two products once.
      defer { context.executions.removeLast(max(0, context.executions.count - alreadyNoted - 2)) }
      let count = min(rows, length - first)
      func part(_ tensor: Tensor) -> Tensor {
        tensor.sliced(axis: 2, start: first, count: count, step: 1)
      }
      let scores = Tensor(
        unchecked: room.storage, dtype: type,
        layout: TensorLayout(contiguous: [q.shape[0], heads, count, total]),
        byteOffset: room.byteOffset)
      try fillScores(
        scores, part(q), added.map(part), exposed.map { ($0.stage, part($0.scores)) }, context)
      func window(_ row: Int) -> Range<Int> {
        visible.range(row / (count * heads), first + row % count, of: total)
      }
      let blind =
        empty == .zero ? try blindRows(scores, added.map(part), context, window) : []
      MaskedSoftmax.run(scores, pool: context.pool, empty: empty == .zero ? 0 : .nan) { row in
        !blind.isEmpty && blind[row] ? 0..<0 : window(row)
      }
      if empty == .alwaysZero { MaskedSoftmax.makeNaNZero(scores) }
      if let exposed, exposed.stage == .probabilities {
        Copying.copy(scores, into: part(exposed.scores), context.workspace)
      }
      if let result {
        try multiply(scores, v, into: part(result), alpha: 1, context)
        clear(part(result), blind)
      }
    }
    if let exposed, exposed.stage == .masked {
      MaskedSoftmax.hide(exposed.scores) { row in
        visible.range(row / (length * heads), row % length, of: total)
      }
    }
  }

  /// scores = cap(scale * q @ k^T) + mask, with the caller's copy on the way.
  private func fillScores(
    _ scores: Tensor, _ q: Tensor, _ mask: Tensor?, _ exposed: (stage: Stage, scores: Tensor)?,
    _ context: RunContext
  ) throws(MartletError) {
    let workspace = context.workspace
    func expose(_ stage: Stage) {
      if let exposed, exposed.stage == stage {
        Copying.copy(scores, into: exposed.scores, workspace)
      }
    }
    let isDouble = scores.dtype == .float64
    try multiply(
      q, k.matrixTransposed, into: scores, alpha: isDouble ? 1 : Float(scale), context)
    if isDouble {
      let scalar = try context.scalar(scale, .float64)
      try Elementwise.binary(.mul, scores, scalar, into: scores, workspace)
    }
    expose(.product)
    if softcap > 0 {
      let stages: [UnaryFunction] = [
        .affine(scale: 1 / softcap, offset: 0), .tanh, .affine(scale: softcap, offset: 0),
      ]
      for function in stages {
        try Elementwise.unary(function, scores, into: scores, workspace)
      }
    }
    expose(.capped)
    if let mask { try Elementwise.binary(.add, scores, mask, into: scores, workspace) }
    expose(.masked)
  }

  /// Of the scores [B, H, L, T], the rows that see none of the keys in their window: all are -Inf, or
  /// what the mask adds is (of which a score that is NaN or Inf makes NaN).
  private func blindRows(
    _ scores: Tensor, _ mask: Tensor?, _ context: RunContext, _ window: (Int) -> Range<Int>
  ) throws(MartletError) -> [Bool] {
    let total = scores.shape[3]
    let mask = try mask.map { mask throws(MartletError) in try context.contiguous(mask) }
    func isHidden(_ tensor: Tensor, _ row: Int) -> Bool {
      let keys = window(row)
      if tensor.dtype == .float64 {
        let values = tensor.typed(Double.self) + row * total
        return keys.allSatisfy { values[$0] == -.infinity }
      }
      let values = tensor.typed(Float.self) + row * total
      return keys.allSatisfy { values[$0] == -.infinity }
    }
    let rows = total == 0 ? 0 : scores.count / total
    let result = (0..<rows).map { row in
      isHidden(scores, row) || mask.map { isHidden($0, row) } ?? false
    }
    return result
  }

  /// Zeros in these rows of a result [B, H, L, Ev], whatever the values are that they do not see.
  private func clear(_ result: Tensor, _ rows: [Bool]) {
    let (heads, count) = (result.shape[1], result.shape[2])
    let size = result.dtype.wholeByteCount
    for row in rows.indices where rows[row] {
      let (batch, head) = (row / (heads * count), row / count % heads)
      let start =
        batch * result.strides[0] + head * result.strides[1] + row % count * result.strides[2]
      for column in 0..<result.shape[3] {
        let element = result.pointer + (start + column * result.strides[3]) * size
        element.initializeMemory(as: UInt8.self, repeating: 0, count: size)
      }
    }
  }

  /// dst [B, H, L, N] = alpha * lhs [B, H, L, K] @ rhs [B, H / group, K, N].
  private func multiply(
    _ lhs: Tensor, _ rhs: Tensor, into dst: Tensor, alpha: Float, _ context: RunContext
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
    problem.batch = [
      BatchAxis(
        count: lhs.shape[0], lhsStride: lhs.strides[0], rhsStride: rhs.strides[0],
        dstStride: dst.strides[0]),
      BatchAxis(
        count: rhs.shape[1], lhsStride: lhs.strides[1] * group, rhsStride: rhs.strides[1],
        dstStride: dst.strides[1] * group),
      BatchAxis(
        count: group, lhsStride: lhs.strides[1], rhsStride: 0, dstStride: dst.strides[1]),
    ]
    problem.epilogue.alpha = alpha
    context.note(try Backends.run(problem, pool: context.pool))
  }
}
