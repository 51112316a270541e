import MartletCore
import MartletKernels

/// Softmax and the normalisations: functions of whole rows, computed in the row's own precision
/// (float32 or float64) whatever the math mode.
///
/// A row's result depends on that row alone.
package enum RowFunctions {
  /// Elements that one thread takes at a time.
  private static let grain = 1 << 14

  /// dst = softmax (or its logarithm) of src along `axis`; `dst` is contiguous, of src's dtype
  /// (float32 or float64) and shape. A slice of all -Inf gives NaN.
  package static func softmax(
    _ src: Tensor, axis: Int, isLogarithm: Bool, into dst: Tensor, _ workspace: Workspace
  ) throws(MartletError) {
    guard dst.count > 0 else { return }
    let n = src.shape[axis]
    if axis != src.rank - 1 {
      // As rows of a transposed copy: the same bits as along the last axis.
      var order = Array(0..<src.rank)
      order.append(order.remove(at: axis))
      let rows = try workspace.contiguous(try src.permuted(order))
      let result = try workspace.scratch(rows.dtype, rows.shape)
      try softmax(rows, axis: rows.rank - 1, isLogarithm: isLogarithm, into: result, workspace)
      let back = order.indices.map { axis in order.firstIndex(of: axis) ?? axis }
      Copying.copy(try result.permuted(back), into: dst, workspace)
      return
    }
    let rows = try workspace.contiguous(src)
    let (from, to) = (rows.pointer, dst.pointer)
    let table = VectorKernels.chosen.table
    let kernel = isLogarithm ? table.log_softmax : table.softmax
    forEachRow(dst.count / n, n, workspace.pool) { row in
      if src.dtype == .float64 {
        Float64Rows.softmax(
          n, from.assumingMemoryBound(to: Double.self) + row * n,
          to.assumingMemoryBound(to: Double.self) + row * n, isLogarithm)
      } else {
        let values = from.assumingMemoryBound(to: Float.self) + row * n
        let out = to.assumingMemoryBound(to: Float.self) + row * n
        kernel(Int64(n), values, out)
      }
    }
  }

  /// Rows of `n` elements: (x - mean) / sqrt(variance + epsilon) * scale + bias.
  ///
  /// All tensors are contiguous and of one dtype, float32 or float64; scale and bias hold n elements,
  /// `mean` and `inverseDeviation` one per row, float32.
  package static func layerNorm(
    _ src: Tensor, _ n: Int, scale: Tensor?, bias: Tensor?, epsilon: Float, into dst: Tensor,
    mean: Tensor? = nil, inverseDeviation: Tensor? = nil, _ workspace: Workspace
  ) {
    guard dst.count > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let (scales, biases) = (scale?.pointer, bias?.pointer)
    let means = mean?.typed(Float.self)
    let deviations = inverseDeviation?.typed(Float.self)
    let kernel = VectorKernels.chosen.table.layer_norm
    forEachRow(dst.count / n, n, workspace.pool) { row in
      if src.dtype == .float64 {
        Float64Rows.layerNorm(
          n, from.assumingMemoryBound(to: Double.self) + row * n,
          scales?.assumingMemoryBound(to: Double.self),
          biases?.assumingMemoryBound(to: Double.self), epsilon,
          to.assumingMemoryBound(to: Double.self) + row * n, means.map { $0 + row },
          deviations.map { $0 + row })
        return
      }
      let values = from.assumingMemoryBound(to: Float.self) + row * n
      let out = to.assumingMemoryBound(to: Float.self) + row * n
      let rowScale = scales?.assumingMemoryBound(to: Float.self)
      let rowBias = biases?.assumingMemoryBound(to: Float.self)
      kernel(
        Int64(n), values, rowScale, rowBias, epsilon, out, means.map { $0 + row },
        deviations.map { $0 + row })
    }
  }

  /// Rows of `n` elements: x / sqrt(mean of squares + epsilon) * scale; tensors as for `layerNorm`.
  package static func rmsNorm(
    _ src: Tensor, _ n: Int, scale: Tensor?, epsilon: Float, into dst: Tensor,
    _ workspace: Workspace
  ) {
    guard dst.count > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let scales = scale?.pointer
    let kernel = VectorKernels.chosen.table.rms_norm
    forEachRow(dst.count / n, n, workspace.pool) { row in
      if src.dtype == .float64 {
        Float64Rows.rmsNorm(
          n, from.assumingMemoryBound(to: Double.self) + row * n,
          scales?.assumingMemoryBound(to: Double.self), epsilon,
          to.assumingMemoryBound(to: Double.self) + row * n)
        return
      }
      let values = from.assumingMemoryBound(to: Float.self) + row * n
      let out = to.assumingMemoryBound(to: Float.self) + row * n
      let rowScale = scales?.assumingMemoryBound(to: Float.self)
      kernel(Int64(n), values, rowScale, epsilon, out)
    }
  }

  /// Planes of `n` elements: scale * x + offset, with plane p's numbers at index p % period.
  ///
  /// src and dst are contiguous and of one dtype, float32 or float64, and may be the same; scale and
  /// offset are of that dtype and hold `period` elements.
  package static func affinePlanes(
    _ src: Tensor, _ n: Int, scale: Tensor, offset: Tensor, into dst: Tensor, _ workspace: Workspace
  ) {
    guard dst.count > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let (scales, offsets) = (scale.pointer, offset.pointer)
    let period = scale.count
    let kernel = VectorKernels.chosen.unary[Int(MK_UNARY_AFFINE)]
    forEachRow(dst.count / n, n, workspace.pool) { plane in
      let channel = plane % period
      if src.dtype == .float64 {
        let values = from.assumingMemoryBound(to: Double.self) + plane * n
        let out = to.assumingMemoryBound(to: Double.self) + plane * n
        let a = scales.assumingMemoryBound(to: Double.self)[channel]
        let b = offsets.assumingMemoryBound(to: Double.self)[channel]
        for i in 0..<n { out[i] = a * values[i] + b }
        return
      }
      let values = from.assumingMemoryBound(to: Float.self) + plane * n
      let out = to.assumingMemoryBound(to: Float.self) + plane * n
      let a = scales.assumingMemoryBound(to: Float.self)[channel]
      let b = offsets.assumingMemoryBound(to: Float.self)[channel]
      kernel(Int64(n), values, out, a, b)
    }
  }

  private static func forEachRow(
    _ rows: Int, _ n: Int, _ pool: ThreadPool, _ body: (Int) -> Void
  ) {
    let perChunk = max(1, grain / max(n, 1))
    pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
      for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) { body(row) }
    }
  }
}
