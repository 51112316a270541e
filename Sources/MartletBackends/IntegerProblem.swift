import MartletCore

/// The integers that stand for zero: one for a whole matrix, or one for each row (or column) of it.
package enum ZeroPoints {
  case one(Int32)
  case each(UnsafePointer<Int32>)
}

/// What happens to a product's int32 sums on their way out: `v = sum + rowBias + columnBias`,
/// wrapping. dst is v where it is int32. Otherwise `f = float(v) * (scale * rowScale * columnScale)`,
/// and dst is `f + rowAddend + columnAddend` where it is float32, and
/// `saturate(round(f) + zero)`, half to even, where it is int8 or uint8.
package struct IntegerEpilogue {
  /// One value per row or column of dst.
  package var rowBias: UnsafePointer<Int32>?
  package var columnBias: UnsafePointer<Int32>?
  package var scale: Float = 1
  package var rowScale: UnsafePointer<Float>?
  package var columnScale: UnsafePointer<Float>?
  package var rowAddend: UnsafePointer<Float>?
  package var columnAddend: UnsafePointer<Float>?
  /// dst's own zero point.
  package var zero: Int32 = 0

  package init() {}
}

/// dst[M, N] = epilogue((lhs[M, K] - lhsZero) @ (rhs[K, N] - rhsZero)), summed exactly modulo 2^32.
///
/// lhs and rhs are int8 or uint8, each on its own, of any strides; dst is int32, float32, int8 or
/// uint8, its columns contiguous. dst must not overlap the operands.
package struct IntegerProblem {
  package var m: Int
  package var n: Int
  package var k: Int
  package var lhs: MatrixView
  package var rhs: MatrixView
  /// rhs packed before; then `rhs` is not read.
  package var packedRHS: PackedIntegerMatrix?
  /// One per row of lhs, or per column of rhs.
  package var lhsZero = ZeroPoints.one(0)
  package var rhsZero = ZeroPoints.one(0)
  package var dst: MatrixView
  package var epilogue = IntegerEpilogue()

  package init(m: Int, n: Int, k: Int, lhs: MatrixView, rhs: MatrixView, dst: MatrixView) {
    self.m = m
    self.n = n
    self.k = k
    self.lhs = lhs
    self.rhs = rhs
    self.dst = dst
  }
}

/// A right-hand matrix of int8 or uint8, packed once for the integer kernels with the sums of its
/// columns.
///
/// @unchecked Sendable: immutable after init.
package final class PackedIntegerMatrix: @unchecked Sendable {
  package let k: Int
  package let n: Int
  /// The source's type.
  package let dtype: DType
  let layout: PanelLayout
  /// In `storage`.
  let panels: PackedPanels
  let storage: Storage

  init(
    k: Int, n: Int, dtype: DType, layout: PanelLayout, panels: PackedPanels, storage: Storage
  ) {
    self.k = k
    self.n = n
    self.dtype = dtype
    self.layout = layout
    self.panels = panels
    self.storage = storage
  }

  /// Bytes that the panels and sums occupy.
  package var byteCount: Int { storage.byteCount }
}

/// Convolution of integers, exact modulo 2^32: dst[N, OC, out] = epilogue(sum over taps of
/// (src - srcZero) * (weights - weightZero)), its rows being the output channels.
///
/// Contiguous: src [N, C, in], weights [OC, C / groups, kernel], dst [N, OC, out]; types as in
/// `IntegerProblem`. Taps outside the image count as srcZero.
package struct IntegerConvolution: ConvolutionShaped {
  package var geometry: ConvolutionGeometry
  package var src: UnsafeMutableRawPointer
  package var srcType: DType
  package var srcZero: Int32 = 0
  package var weights: UnsafeMutableRawPointer
  package var weightType: DType
  /// One, or one per output channel.
  package var weightZero = ZeroPoints.one(0)
  package var dst: UnsafeMutableRawPointer
  package var dstType: DType
  package var epilogue = IntegerEpilogue()

  package init(_ geometry: ConvolutionGeometry, src: Tensor, weights: Tensor, dst: Tensor) {
    self.geometry = geometry
    self.src = src.pointer
    srcType = src.dtype
    self.weights = weights.pointer
    weightType = weights.dtype
    self.dst = dst.pointer
    dstType = dst.dtype
  }
}

private func isByte(_ dtype: DType) -> Bool { dtype == .int8 || dtype == .uint8 }

extension IntegerProblem {
  /// Throws `invalidShape` or `invalidDType` for what no backend can run.
  func validate() throws(MartletError) {
    guard m >= 0, n >= 0, k >= 0 else {
      throw MartletError(.invalidShape, "integer matmul: an extent is negative")
    }
    guard isByte(lhs.dtype) else {
      throw .dtype("integer matmul", "lhs", expected: "int8 or uint8", actual: lhs.dtype)
    }
    guard isByte(rhs.dtype) else {
      throw .dtype("integer matmul", "rhs", expected: "int8 or uint8", actual: rhs.dtype)
    }
    guard isByte(dst.dtype) || dst.dtype == .int32 || dst.dtype == .float32 else {
      throw .dtype(
        "integer matmul", "dst", expected: "int32, float32, int8 or uint8", actual: dst.dtype)
    }
    guard dst.columnStride == 1 || n <= 1 else {
      throw MartletError(.invalidShape, "integer matmul: dst's columns are not contiguous")
    }
  }
}

extension IntegerConvolution {
  /// Throws `invalidShape` or `invalidDType` for what no backend can run.
  func validate() throws(MartletError) {
    guard isByte(srcType) else {
      throw .dtype("integer conv", "src", expected: "int8 or uint8", actual: srcType)
    }
    guard isByte(weightType) else {
      throw .dtype("integer conv", "weights", expected: "int8 or uint8", actual: weightType)
    }
    guard isByte(dstType) || dstType == .int32 || dstType == .float32 else {
      throw .dtype(
        "integer conv", "dst", expected: "int32, float32, int8 or uint8", actual: dstType)
    }
    try geometry.validate("integer conv")
  }
}

extension Backends {
  /// Multiplies each of `problems`, which must not depend on each other.
  ///
  /// - Throws: `invalidShape`, `invalidDType`, `outOfMemory`.
  /// - Complexity: 2·M·N·K integer operations each.
  package static func multiply(
    _ problems: [IntegerProblem], pool: ThreadPool = .shared
  ) throws(MartletError) -> Execution {
    if let backend = try preferredBackend(), let preferred = backend as? any IntegerProvider,
      problems.allSatisfy(preferred.supports)
    {
      return try preferred.multiply(problems, pool: pool)
    }
    return try native.multiply(problems, pool: pool)
  }

  /// Packs `rhs` (k by n, int8 or uint8) once for many integer products.
  package static func packIntegers(
    _ rhs: MatrixView, k: Int, n: Int, pool: ThreadPool = .shared
  ) throws(MartletError) -> PackedIntegerMatrix {
    try native.packIntegers(rhs, k: k, n: n, pool: pool)
  }

  /// - Throws: `invalidShape`, `invalidDType`, `outOfMemory`.
  package static func convolve(
    _ problem: IntegerConvolution, pool: ThreadPool = .shared
  ) throws(MartletError) -> Execution {
    if let backend = try preferredBackend(), let preferred = backend as? any IntegerProvider {
      return try preferred.convolve(problem, pool: pool)
    }
    return try native.convolve(problem, pool: pool)
  }
}
