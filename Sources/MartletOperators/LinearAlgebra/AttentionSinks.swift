import MartletBackends
import MartletCore

/// One more term of each softmax's denominator: a key without a value, whose score is 0 or the head's
/// own number.
struct AttentionSinks {
  private let scores: Tensor?

  /// `scores` [heads], or nil for 0.
  init(
    _ scores: Tensor?, _ heads: Int, _ operatorName: String, _ context: RunContext
  ) throws(MartletError) {
    if let scores {
      guard scores.shape == [heads], scores.dtype.isFloatingPoint else {
        throw .shape(
          operatorName, "head_sink", expected: "[\(heads)]", actual: Shape.text(scores.shape),
          input: "head_sink")
      }
    }
    self.scores = try scores.map { scores throws(MartletError) in
      try context.dense(scores, .float32)
    }
  }

  /// `call` with that key behind the others: what is not seen is hidden by the mask then, for the sink
  /// is always seen.
  func added(to call: AttentionCall, _ context: RunContext) throws(MartletError) -> AttentionCall {
    let (batch, heads, queries) = (call.q.shape[0], call.q.shape[1], call.q.shape[2])
    let total = call.k.shape[2]
    func extended(_ tensor: Tensor) throws(MartletError) -> Tensor {
      var shape = tensor.shape
      shape[2] = total + 1
      let whole = try context.scratch(.float32, shape)
      Copying.zero(whole)
      Copying.copy(
        tensor, into: whole.sliced(axis: 2, start: 0, count: total, step: 1), context.workspace)
      return whole
    }
    let shape = [batch, heads, queries, total + 1]
    let mask = try context.scratch(.float32, shape)
    let inner = mask.sliced(axis: 3, start: 0, count: total, step: 1)
    if let given = call.mask {
      let added = try given.additive([batch, heads, queries, total], .float32, context)
      Copying.copy(added, into: inner, context.workspace)
    } else {
      Copying.zero(mask)
    }
    let values = mask.typed(Float.self)
    let sinks = scores?.typed(Float.self)
    for row in 0..<(batch * heads * queries) {
      let line = values + row * (total + 1)
      let seen = call.visible.range(row / (heads * queries), row % queries, of: total)
      for key in 0..<seen.lowerBound { line[key] = -.infinity }
      for key in seen.upperBound..<total { line[key] = -.infinity }
      line[total] = sinks?[row / queries % heads] ?? 0
    }
    return AttentionCall(
      q: call.q, k: try extended(call.k), v: try extended(call.v),
      mask: try AttentionMask(mask, shape: shape, context), scale: call.scale,
      softcap: call.softcap, visible: VisibleKeys(), empty: call.empty)
  }
}
