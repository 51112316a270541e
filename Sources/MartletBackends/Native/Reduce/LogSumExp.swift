import MartletCore
import MartletKernels

/// log(sum(e^x)) of rows, with the row's maximum taken out so that nothing overflows.
enum LogSumExp {
  private static let stage = 512

  /// dst[i] over the i-th `n` elements of the contiguous `rows`. Integers are computed in float64.
  static func reduce(_ rows: Tensor, _ n: Int, into dst: Tensor, _ workspace: Workspace)
    throws(MartletError)
  {
    if !rows.dtype.isFloatingPoint {
      let wide = try workspace.converted(rows, to: .float64)
      let result = try workspace.scratch(.float64, dst.shape)
      try reduce(wide, n, into: result, workspace)
      try Casting.cast(result, into: dst, workspace)
      return
    }
    let count = dst.count
    let (from, to) = (rows.pointer, dst.pointer)
    let kernels = VectorKernels.chosen
    let perChunk = max(1, (1 << 13) / max(n, 1))
    workspace.pool.parallelFor((count + perChunk - 1) / perChunk) { chunk in
      for row in chunk * perChunk..<min((chunk + 1) * perChunk, count) {
        if rows.dtype == .float64 {
          to.assumingMemoryBound(to: Double.self)[row] = reduce(
            n, from.assumingMemoryBound(to: Double.self) + row * n)
        } else {
          let values = from.assumingMemoryBound(to: Float.self) + row * n
          to.assumingMemoryBound(to: Float.self)[row] = reduce(n, values, kernels)
        }
      }
    }
  }

  private static func reduce(_ n: Int, _ values: UnsafePointer<Double>) -> Double {
    var top = -Double.infinity
    for i in 0..<n { top = Double.greatest(top, values[i]) }
    // An infinite maximum is the answer by itself, and NaN stays NaN.
    guard top.isFinite else { return top }
    var sum = Double.zero
    for i in 0..<n { sum += Double.exp(values[i] - top) }
    return Double.log(sum) + top
  }

  private static func reduce(_ n: Int, _ values: UnsafePointer<Float>, _ kernels: VectorKernels)
    -> Float
  {
    let maximum = kernels.reduce[Int(MK_REDUCE_MAX)]
    let total = kernels.reduce[Int(MK_REDUCE_SUM)]
    let exp = kernels.unary[Int(MK_UNARY_EXP)]
    let difference = kernels.binary[Int(MK_BINARY_SUB)]
    var top = n == 0 ? -Float.infinity : maximum(Int64(n), values)
    guard top.isFinite else { return top }
    var sum: Float = 0
    withUnsafeTemporaryAllocation(of: Float.self, capacity: stage) { buffer in
      guard let base = buffer.baseAddress else { return }
      for start in stride(from: 0, to: n, by: stage) {
        let part = Int64(min(stage, n - start))
        difference(part, values + start, 1, &top, 0, base)
        exp(part, base, base, 0, 0)
        sum += total(part, base)
      }
    }
    return Float.log(sum) + top
  }
}
