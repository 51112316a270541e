import MartletCore

/// Distances between each row of one matrix and each of another.
package enum PairDistances {
  /// dst[i, j] = sum over k of (a[i, k] - b[j, k])^2, or its square root.
  ///
  /// a [rows, width], b [columns, width] and dst are contiguous, all float32 or all float64. The
  /// differences are squared as they are, so near rows lose nothing.
  package static func squared(
    _ a: Tensor, _ b: Tensor, takesRoot: Bool, into dst: Tensor, _ workspace: Workspace
  ) {
    if a.dtype == .float64 {
      squared(Double.self, a, b, takesRoot, dst, workspace)
    } else {
      squared(Float.self, a, b, takesRoot, dst, workspace)
    }
  }

  private static func squared<T: RealElement & SIMDScalar>(
    _: T.Type, _ a: Tensor, _ b: Tensor, _ takesRoot: Bool, _ dst: Tensor, _ workspace: Workspace
  ) {
    let (rows, columns, width) = (a.shape[0], b.shape[0], a.shape[1])
    nonisolated(unsafe) let (x, y, out) = (a.typed(T.self), b.typed(T.self), dst.typed(T.self))
    let perRow = columns.multipliedReportingOverflow(by: max(width, 1))
    let perChunk = perRow.overflow ? 1 : max(1, (1 << 14) / max(perRow.partialValue, 1))
    workspace.pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
      for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) {
        for column in 0..<columns {
          let sum = squared(x + row * width, y + column * width, width)
          out[row * columns + column] = takesRoot ? sum.squareRoot() : sum
        }
      }
    }
  }

  @inline(__always)
  private static func squared<T: RealElement & SIMDScalar>(
    _ x: UnsafePointer<T>, _ y: UnsafePointer<T>, _ count: Int
  ) -> T {
    var sums = SIMD8<T>(repeating: 0)
    var index = 0
    while index + 8 <= count {
      let difference =
        UnsafeRawPointer(x + index).loadUnaligned(as: SIMD8<T>.self)
        - UnsafeRawPointer(y + index).loadUnaligned(as: SIMD8<T>.self)
      sums += difference * difference
      index += 8
    }
    var sum = sums.sum()
    while index < count {
      let difference = x[index] - y[index]
      sum += difference * difference
      index += 1
    }
    return sum
  }
}
