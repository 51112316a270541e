import MartletCore

/// Softmax over some entries of each row, zeros in the others: what a mask of -Inf on either side of
/// them comes to, but with a result that does not depend on how many entries are masked behind them.
package enum MaskedSoftmax {
  /// In place on `scores`, contiguous f32 or f64 [..., n]; row r keeps the entries `kept(r)`, of 0..<n.
  /// A row that keeps none becomes `empty`; one with a NaN is NaN throughout, as softmax has it.
  package static func run(
    _ scores: Tensor, pool: ThreadPool, empty: Double, kept: (Int) -> Range<Int>
  ) {
    guard let n = scores.shape.last, scores.count > 0 else { return }
    let rows = scores.count / n
    let perItem = max(1, (8 << 10) / n)
    let base = scores.pointer
    let kernel = VectorKernels.chosen.table.softmax
    func runItem(_ item: Int) {
      for row in item * perItem..<min((item + 1) * perItem, rows) {
        let kept = kept(row)
        if scores.dtype == .float64 {
          let values = base.assumingMemoryBound(to: Double.self) + row * n
          let part = values + kept.lowerBound
          Float64Rows.softmax(kept.count, part, part, false)
          let rest = kept.isEmpty ? empty : part[0].isNaN ? .nan : 0
          fill(values, n, except: kept, with: rest)
        } else {
          let values = base.assumingMemoryBound(to: Float.self) + row * n
          let part = values + kept.lowerBound
          if !kept.isEmpty { kernel(Int64(kept.count), part, part) }
          let rest = kept.isEmpty ? Float(empty) : part[0].isNaN ? .nan : 0
          fill(values, n, except: kept, with: rest)
        }
      }
    }
    let items = (rows + perItem - 1) / perItem
    if items == 1 { runItem(0) } else { pool.parallelFor(items, runItem) }
  }

  private static func fill<Element: BinaryFloatingPoint>(
    _ row: UnsafeMutablePointer<Element>, _ n: Int, except kept: Range<Int>, with value: Element
  ) {
    row.update(repeating: value, count: kept.lowerBound)
    (row + kept.upperBound).update(repeating: value, count: n - kept.upperBound)
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
  }

  /// Sets all but the entries `kept(r)` of each row to -Inf.
  package static func hide(_ scores: Tensor, kept: (Int) -> Range<Int>) {
    guard let n = scores.shape.last, scores.count > 0 else { return }
    for row in 0..<scores.count / n {
      if scores.dtype == .float64 {
        fill(scores.typed(Double.self) + row * n, n, except: kept(row), with: -.infinity)
      } else {
        fill(scores.typed(Float.self) + row * n, n, except: kept(row), with: -.infinity)
      }
    }
  }
}
