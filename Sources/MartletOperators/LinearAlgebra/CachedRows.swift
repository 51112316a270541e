import MartletBackends
import MartletCore

/// Where the rows of a batch stand in a buffer of past keys (or values) that GroupQueryAttention fills.
struct CachedRows {
  /// Keys of the row with the most of them.
  let total: Int
  private let batch: Int
  private let queries: Int
  private let heads: Int
  private let width: Int
  /// Extent of the buffer afterwards.
  private let length: Int
  /// Per row: past keys, and all that count.
  private let past: [Int]
  private let valid: [Int]

  init(
    _ inputs: Inputs, batch: Int, queries: Int, heads: Int, width: Int
  ) throws(MartletError) {
    (self.batch, self.queries, self.heads, self.width) = (batch, queries, heads, width)
    func fault(_ index: Int, _ expected: String, _ actual: String) -> MartletError {
      MartletError(
        .invalidArgument,
        "\(inputs.operatorName): \(inputs.name(index)): expected \(expected), got \(actual)",
        operatorName: inputs.operatorName, input: inputs.name(index), expected: expected,
        actual: actual)
    }
    total = try inputs.integer(6)
    let counts = try inputs.required(5, like: .int32)
    guard counts.count == batch, counts.rank <= 2 else {
      throw fault(5, "[\(batch)]", Shape.text(counts.shape))
    }
    var buffer = 0
    for index in 3...4 {
      guard let tensor = inputs.optional(index) else { continue }
      guard tensor.rank == 4, tensor.shape[0] == batch, tensor.shape[1] == heads,
        tensor.shape[3] == width, index == 3 || tensor.shape[2] == buffer
      else {
        throw fault(
          index, "[\(batch), \(heads), \(index == 3 ? "past" : "\(buffer)"), \(width)]",
          Shape.text(tensor.shape))
      }
      buffer = tensor.shape[2]
    }
    guard total >= 0, total >= queries else { throw fault(6, "\(queries) or more", "\(total)") }
    length = max(buffer, total)
    let isPrompt = total == queries
    var (past, valid): ([Int], [Int]) = ([], [])
    for last in SmallTensors.integers(counts) {
      guard last >= 0, last < max(total, 1), isPrompt || last + 1 >= queries else {
        throw fault(
          5, "values of \(isPrompt ? 0 : queries - 1) to \(total - 1)", "\(last)")
      }
      let before = isPrompt ? 0 : last + 1 - queries
      guard before <= buffer else { throw fault(5, "at most \(buffer) past keys", "\(before)") }
      past.append(before)
      valid.append(last + 1)
    }
    (self.past, self.valid) = (past, valid)
  }

  /// Of each new token of each row.
  var positions: [Int] { past.flatMap { past in (0..<queries).map { past + $0 } } }

  func visible(isCausal: Bool, window: Int?) -> VisibleKeys {
    var visible = VisibleKeys()
    visible.lengths = valid
    if isCausal {
      visible.batchOffsets = past
      visible.causalOffset = 0
      visible.windowOffset = window.map { 1 - $0 }
    }
    return visible
  }

  /// [B, heads, length, H], float32: the past at input `index`, the new ones [B, S, heads, H] behind
  /// it, zeros beyond.
  func present(
    _ inputs: Inputs, _ index: Int, _ new: Tensor, isOutput: Bool, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let shape = [batch, heads, length, width]
    let dtype = try inputs.required(0).dtype
    let whole =
      isOutput && dtype == .float32
      ? try context.output(index - 2, .float32, shape) : try context.scratch(.float32, shape)
    if past.contains(where: { $0 + queries < length }) { Copying.zero(whole) }
    let old = try inputs.optional(index, like: dtype)
    let added = try new.permuted([0, 2, 1, 3])
    for row in 0..<batch {
      let place = whole.selected(axis: 0, row)
      func part(_ tensor: Tensor, _ start: Int, _ count: Int) -> Tensor {
        tensor.sliced(axis: 1, start: start, count: count, step: 1)
      }
      if let old, past[row] > 0 {
        let kept = try context.converted(
          part(old.selected(axis: 0, row), 0, past[row]), to: .float32)
        Copying.copy(kept, into: part(place, 0, past[row]), context.workspace)
      }
      Copying.copy(
        added.selected(axis: 0, row), into: part(place, past[row], queries), context.workspace)
    }
    return whole
  }
}
