import MartletCore

/// Softmax over the first entries of each row, zeros in the others: what a mask of -Inf behind a row's
/// length comes to, but with a result that does not depend on how many entries are masked.
package enum MaskedSoftmax {
  /// In place on `scores`, contiguous f32 or f64 [..., n]; row r keeps its first `length(r)` entries.
  /// A row that keeps none becomes `empty`; one with a NaN is NaN throughout, as softmax has it.
  package static func run(
    _ scores: Tensor, pool: ThreadPool, empty: Double, length: (Int) -> Int
  ) {
    guard let n = scores.shape.last, scores.count > 0 else { return }
    let rows = scores.count / n
    let perItem = max(1, (8 << 10) / n)
    let base = scores.pointer
    let kernel = VectorKernels.chosen.table.softmax
    func runItem(_ item: Int) {
      for row in item * perItem..<min((item + 1) * perItem, rows) {
        let kept = min(max(length(row), 0), n)
        if scores.dtype == .float64 {
          let values = base.assumingMemoryBound(to: Double.self) + row * n
          Float64Rows.softmax(kept, values, values, false)
          let rest = kept == 0 ? empty : values[0].isNaN ? .nan : 0
          (values + kept).update(repeating: rest, count: n - kept)
        } else {
          let values = base.assumingMemoryBound(to: Float.self) + row * n
          if kept > 0 { kernel(Int64(kept), values, values) }
          let rest = kept == 0 ? Float(empty) : values[0].isNaN ? .nan : 0
          (values + kept).update(repeating: rest, count: n - kept)
        }
      }
    }
    let items = (rows + perItem - 1) / perItem
    if items == 1 { runItem(0) } else { pool.parallelFor(items, runItem) }
    scores.keepAlive()
  }

  /// Zero where an entry is NaN; contiguous f32 or f64.
  package static func makeNaNZero(_ scores: Tensor) {
    if scores.dtype == .float64 {
      let values = scores.typed(Double.self)
      for index in 0..<scores.count where values[index].isNaN { values[index] = 0 }
    } else {
      let values = scores.typed(Float.self)
      for index in 0..<scores.count where values[index].isNaN { values[index] = 0 }
    }
    scores.keepAlive()
  }

  /// Sets all but the first `length(r)` entries of each row to -Inf.
  package static func hide(_ scores: Tensor, length: (Int) -> Int) {
    guard let n = scores.shape.last, scores.count > 0 else { return }
    for row in 0..<scores.count / n {
      let kept = min(max(length(row), 0), n)
      if scores.dtype == .float64 {
        (scores.typed(Double.self) + (row * n + kept)).update(
          repeating: -.infinity, count: n - kept)
      } else {
        (scores.typed(Float.self) + (row * n + kept)).update(
          repeating: -.infinity, count: n - kept)
      }
    }
    scores.keepAlive()
  }
}
