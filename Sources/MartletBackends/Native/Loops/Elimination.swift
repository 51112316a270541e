import MartletCore

/// Gaussian elimination of small matrices.
package enum Elimination {
  /// dst[i] = the determinant of matrix i of the contiguous float64 `matrices` [..., order, order], which
  /// are overwritten; dst is float64 and contiguous.
  /// Complexity: 2 / 3 order^3 floating-point operations each.
  package static func determinants(
    _ matrices: Tensor, order: Int, into dst: Tensor, pool: ThreadPool
  ) {
    let out = dst.typed(Double.self)
    let elements = matrices.typed(Double.self)
    let work = Double(dst.count) * Double(order) * Double(order) * Double(order + 3) / 3
    func run(_ index: Int) {
      out[index] = determinant(elements + index * order * order, order)
    }
    guard pool.threadCount(forNanoseconds: Int(min(work, 1e15))) > 1 else {
      return (0..<dst.count).forEach(run)
    }
    pool.parallelFor(dst.count, run)
  }

  private static func determinant(_ matrix: UnsafeMutablePointer<Double>, _ order: Int) -> Double {
    var result = 1.0
    for column in 0..<order {
      var pivot = column
      for row in column..<order
      where matrix[row * order + column].magnitude > matrix[pivot * order + column].magnitude {
        pivot = row
      }
      let top = matrix + column * order
      if pivot != column {
        let other = matrix + pivot * order
        for index in column..<order { (top[index], other[index]) = (other[index], top[index]) }
        result = -result
      }
      let head = top[column]
      result *= head
      if head == 0 { return 0 }
      for row in column + 1..<max(order, column + 1) {
        let line = matrix + row * order
        let factor = line[column] / head
        if factor == 0 { continue }
        for index in column &+ 1..<order { line[index] -= factor * top[index] }
      }
    }
    return result
  }
}
