import MartletCore

/// A matrix in memory: element (i, j) lies `i * rowStride + j * columnStride` elements from `pointer`.
///
/// Strides may be zero or negative. The memory must outlive the call.
package struct MatrixView {
  package var pointer: UnsafeMutableRawPointer
  package var dtype: DType
  package var rowStride: Int
  package var columnStride: Int

  package init(
    _ pointer: UnsafeMutableRawPointer, _ dtype: DType, rowStride: Int, columnStride: Int = 1
  ) {
    self.pointer = pointer
    self.dtype = dtype
    self.rowStride = rowStride
    self.columnStride = columnStride
  }
}

/// What happens to a product's sums on their way out, in this order:
/// `v = alpha * sum; v += bias; v += beta * residual; v = activation(v)`.
package struct Epilogue {
  package var alpha: Float = 1
  /// One value per column of dst, f32.
  package var columnBias: UnsafePointer<Float>?
  /// One value per row of dst, f32.
  package var rowBias: UnsafePointer<Float>?
  /// f32, element (i, j); may be dst itself (BLAS's beta).
  package var residual: MatrixView?
  package var beta: Float = 1
  /// A function that has a kernel; nil: none.
  package var activation: UnaryFunction?

  package init() {}
}

/// One axis of a batch: how far each operand moves per step, in elements (0: broadcast).
package struct BatchAxis {
  package var count: Int
  package var lhsStride: Int
  package var rhsStride: Int
  package var dstStride: Int
  package var residualStride: Int

  package init(
    count: Int, lhsStride: Int, rhsStride: Int, dstStride: Int, residualStride: Int = 0
  ) {
    self.count = count
    self.lhsStride = lhsStride
    self.rhsStride = rhsStride
    self.dstStride = dstStride
    self.residualStride = residualStride
  }
}

/// dst[M, N] = epilogue(lhs[M, K] @ rhs[K, N]) for each index of the batch.
///
/// lhs and rhs are both f32, both bf16, both f16, both f64 or both of one integer type; dst is f32 for
/// f32, f32 or bf16 for bf16, and its inputs' dtype otherwise. Integers wrap around and take no
/// epilogue. dst's columns are contiguous (columnStride 1). Batch axes run outermost first.
package struct GEMMProblem {
  package var m: Int
  package var n: Int
  package var k: Int
  package var batch: [BatchAxis] = []
  package var lhs: MatrixView
  package var rhs: MatrixView
  /// rhs packed before, for this mode; then `rhs` is not read and no batch axis may move rhs.
  package var packedRHS: PackedMatrix?
  package var dst: MatrixView
  package var epilogue = Epilogue()
  package var mode: MathMode

  package init(
    m: Int, n: Int, k: Int, lhs: MatrixView, rhs: MatrixView, dst: MatrixView, mode: MathMode
  ) {
    self.m = m
    self.n = n
    self.k = k
    self.lhs = lhs
    self.rhs = rhs
    self.dst = dst
    self.mode = mode
  }
}
