import MartletCore

/// Martlet's own kernels, driven on the thread pool.
struct NativeBackend: ProductProvider, AttentionProvider, ConvolutionProvider, IntegerProvider,
  RecurrentProvider
{
  let kernels: KernelSet
  /// Takes the place of the cost model and the tuning table in products of f32 and bf16.
  let forced: GEMMChoice?

  init(kernels: KernelSet = .current, forcing choice: GEMMChoice? = nil) {
    self.kernels = kernels
    forced = choice
  }

  var name: String { "native" }

  func supports(_ problem: GEMMProblem) -> Bool { true }

  /// Whether `problem` takes its rhs where it lies though a packed one is at hand.
  func readsInPlace(_ problem: GEMMProblem) -> Bool {
    forced == nil && GEMMTuning.isEmpty && SmallProduct.needsNoPanels(problem, kernels: kernels)
  }

  func run(_ problem: GEMMProblem, pool: ThreadPool) throws(MartletError) -> Execution {
    try problem.validate()
    switch problem.lhs.dtype {
    case .float32, .bfloat16:
      if forced == nil, let execution = SmallProduct.run(problem, kernels: kernels, pool: pool) {
        return execution
      }
      return try FloatProduct(problem, kernels: kernels, forcing: forced).run(on: pool)
    case .float16:
      return try HalfProduct(problem, kernels: kernels).run(on: pool)
    default:
      return try PlainProduct(problem).run(on: pool)
    }
  }

  /// `problem` for many runs on the same memory; nil where that spares nothing.
  func prepare(_ problem: GEMMProblem, pool: ThreadPool) throws(MartletError)
    -> SmallProduct.Prepared?
  {
    try problem.validate()
    return forced == nil ? SmallProduct.prepare(problem, kernels: kernels, pool: pool) : nil
  }

  /// Packs `rhs` for products under `mode`; with `matrixStrides`, in elements, a matrix for each
  /// index of those axes, the last moving fastest.
  ///
  /// - Throws: `invalidDType` unless rhs is f32 or bf16, `outOfMemory`.
  func pack(
    _ rhs: MatrixView, k: Int, n: Int, matrixStrides: [(count: Int, stride: Int)] = [],
    mode: MathMode, pool: ThreadPool
  ) throws(MartletError) -> PackedMatrix {
    guard rhs.dtype == .float32 || rhs.dtype == .bfloat16 else {
      throw .dtype("pack", "rhs", expected: "float32 or bfloat16", actual: rhs.dtype)
    }
    let usesBF16 = rhs.dtype == .bfloat16 || kernels.precision(for: mode).usesBF16
    let type: DType = usesBF16 ? .bfloat16 : .float32
    guard let row = kernels.row(dst: .float32, lhs: type, rhs: type) else {
      throw MartletError(.internalError, "no GEMM kernel multiplies \(type)")
    }
    // The panels' size: k rounded up to kr, times n rounded up to nr; checked, as k and n may come
    // from a view with zero strides.
    let panels = row.panels(n)
    let extents = matrixStrides.map(\.count)
    _ = try Shape.byteCount(extents + [k + row.kr, panels, row.nr], type)
    let panelStride = row.panelBytes(k)
    let matrices = extents.reduce(1, *)
    let storage = try Storage(byteCount: matrices * panels * panelStride)
    for index in 0..<matrices {
      var rest = index
      var offset = 0
      for axis in matrixStrides.reversed() {
        offset += rest % axis.count * axis.stride
        rest /= axis.count
      }
      let isPacked = RightOperand(rhs, row: row).moved(by: offset * rhs.dtype.wholeByteCount).pack(
        0..<n, k: k, row: row,
        into: PackedPanels(base: storage.base + index * panels * panelStride, stride: panelStride),
        isParallel: k * n >= 1 << 16, on: pool)
      guard isPacked else { throw MartletError(.outOfMemory, "pack: no memory for packing") }
    }
    return PackedMatrix(
      k: k, n: n, matrices: matrices, dtype: type, layout: row.layout, panelStride: panelStride,
      matrixStride: panels * panelStride, storage: storage)
  }
}

extension GEMMProblem {
  /// Throws `invalidShape` or `invalidDType` for what no backend can run.
  func validate() throws(MartletError) {
    guard m >= 0, n >= 0, k >= 0, batch.allSatisfy({ $0.count >= 0 }) else {
      throw MartletError(.invalidShape, "matmul: an extent is negative")
    }
    guard lhs.dtype == rhs.dtype else {
      throw .dtype("matmul", "rhs", expected: "\(lhs.dtype) as lhs", actual: rhs.dtype)
    }
    let allowsDst =
      dst.dtype == lhs.dtype || (lhs.dtype == .bfloat16 && dst.dtype == .float32)
    guard allowsDst else {
      throw .dtype("matmul", "dst", expected: "\(lhs.dtype)", actual: dst.dtype)
    }
    guard lhs.dtype != .bool else {
      throw .dtype("matmul", "lhs", expected: "a number", actual: lhs.dtype)
    }
    guard dst.columnStride == 1 || n <= 1 else {
      throw MartletError(.invalidShape, "matmul: dst's columns are not contiguous")
    }
    if let activation = epilogue.activation, !activation.hasKernel {
      throw MartletError(.internalError, "matmul: no kernel computes \(activation)")
    }
    if let residual = epilogue.residual, residual.dtype != .float32 {
      throw .dtype("matmul", "residual", expected: "float32", actual: residual.dtype)
    }
    if let packedRHS {
      guard packedRHS.k == k, packedRHS.n == n else {
        throw .shape(
          "matmul", "packed rhs", expected: "[\(k), \(n)]",
          actual: "[\(packedRHS.k), \(packedRHS.n)]")
      }
      // A packed rhs moves by whole matrices.
      var last = 0
      for axis in batch {
        let (span, overflows) = axis.rhsStride.multipliedReportingOverflow(
          by: max(axis.count, 1) - 1)
        let (sum, overflowsToo) = last.addingReportingOverflow(span)
        guard axis.rhsStride >= 0, !overflows, !overflowsToo else {
          throw MartletError(.invalidShape, "matmul: a packed rhs cannot vary this way")
        }
        last = sum
      }
      guard last < packedRHS.matrices else {
        throw MartletError(
          .invalidShape, "matmul: the batch reads matrix \(last) of a packed rhs",
          expected: "fewer than \(packedRHS.matrices) matrices", actual: "\(last + 1)")
      }
    }
  }
}
