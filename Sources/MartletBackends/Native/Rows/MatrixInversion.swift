import MartletCore

/// The inverses of square matrices by LU decomposition with partial pivoting, in float64.
///
/// A singular matrix gives what dividing by its zero pivots gives: infinities and NaN.
package enum MatrixInversion {
  /// `matrices` [count, n, n] contiguous float64, overwritten; `dst` of the same extents.
  /// Complexity: 2·n³ floating-point operations each.
  package static func run(
    _ matrices: UnsafeMutablePointer<Double>, count: Int, n: Int,
    into dst: UnsafeMutablePointer<Double>, pool: ThreadPool
  ) {
    guard n > 0 else { return }
    pool.parallelFor(count) { index in
      invert(matrices + index * n * n, n, into: dst + index * n * n)
    }
  }

  private static func invert(
    _ lu: UnsafeMutablePointer<Double>, _ n: Int, into dst: UnsafeMutablePointer<Double>
  ) {
    // The rows of the identity go through the same steps as those of the matrix.
    dst.update(repeating: 0, count: n * n)
    for row in 0..<n { dst[row * n + row] = 1 }
    for column in 0..<n {
      var pivot = column
      for row in column..<n where abs(lu[row * n + column]) > abs(lu[pivot * n + column]) {
        pivot = row
      }
      if pivot != column {
        swapRows(lu, pivot, column, n)
        swapRows(dst, pivot, column, n)
      }
      for row in column + 1..<n {
        let factor = lu[row * n + column] / lu[column * n + column]
        subtract(lu, factor, column, from: row, n)
        subtract(dst, factor, column, from: row, n)
      }
    }
    for row in (0..<n).reversed() {
      for other in row + 1..<n { subtract(dst, lu[row * n + other], other, from: row, n) }
      let pivot = lu[row * n + row]
      let line = dst + row * n
      for j in 0..<n { line[j] /= pivot }
    }
  }

  private static func swapRows(
    _ matrix: UnsafeMutablePointer<Double>, _ a: Int, _ b: Int, _ n: Int
  ) {
    for j in 0..<n {
      let value = matrix[a * n + j]
      matrix[a * n + j] = matrix[b * n + j]
      matrix[b * n + j] = value
    }
  }

  /// Row `row` less `factor` times row `other`.
  private static func subtract(
    _ matrix: UnsafeMutablePointer<Double>, _ factor: Double, _ other: Int, from row: Int, _ n: Int
  ) {
    guard factor != 0 else { return }
    let (source, target) = (matrix + other * n, matrix + row * n)
    for j in 0..<n { target[j] -= factor * source[j] }
  }
}
