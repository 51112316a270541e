import Glibc
import MartletCore

/// The system's OpenBLAS, found at run time and only when asked for: FP32 products of f32, one thread.
///
/// @unchecked Sendable: two constant function pointers of a library that is never unloaded.
struct OpenBLASBackend: ProductProvider, @unchecked Sendable {
  private typealias Product =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>?, Int32,
      UnsafePointer<Float>?, Int32, Float, UnsafeMutablePointer<Float>?, Int32
    ) -> Void
  private typealias SetThreads = @convention(c) (Int32) -> Void

  private let product: Product
  private let kernels: KernelSet

  var name: String { "openblas" }

  /// - Throws: `unsupported` when the library or a symbol of it is missing.
  init(kernels: KernelSet = .current) throws(MartletError) {
    guard let library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL) else {
      throw MartletError(
        .unsupported, "OpenBLAS was asked for, but libopenblas.so.0 is not installed",
        expected: "libopenblas.so.0", actual: "nothing of that name")
    }
    guard let product = dlsym(library, "cblas_sgemm"),
      let setThreads = dlsym(library, "openblas_set_num_threads")
    else {
      throw MartletError(.unsupported, "libopenblas.so.0 has no cblas_sgemm")
    }
    // Its threads would fight the pool's.
    unsafeBitCast(setThreads, to: SetThreads.self)(1)
    self.product = unsafeBitCast(product, to: Product.self)
    self.kernels = kernels
  }

  func supports(_ problem: GEMMProblem) -> Bool { supports(BatchFold(problem)) }

  private func supports(_ fold: BatchFold) -> Bool {
    let problem = fold.problem
    let fits = { (value: Int) in (1...Int(Int32.max)).contains(value) }
    let epilogue = problem.epilogue
    return problem.lhs.dtype == .float32 && problem.rhs.dtype == .float32
      && problem.dst.dtype == .float32 && problem.packedRHS == nil
      && !kernels.precision(for: problem.mode).usesBF16
      && epilogue.columnBias == nil && epilogue.rowBias == nil && epilogue.residual == nil
      && fits(problem.m) && fits(problem.n) && fits(problem.k) && fits(problem.dst.rowStride)
      && problem.dst.rowStride >= problem.n
      && OpenBLASBackend.layout(problem.lhs, problem.m, problem.k) != nil
      && OpenBLASBackend.layout(problem.rhs, problem.k, problem.n) != nil
  }

  func run(_ problem: GEMMProblem, pool: ThreadPool) throws(MartletError) -> Execution {
    try problem.validate()
    let fold = BatchFold(problem)
    let single = fold.problem
    guard supports(fold),
      let lhs = OpenBLASBackend.layout(single.lhs, single.m, single.k),
      let rhs = OpenBLASBackend.layout(single.rhs, single.k, single.n)
    else { throw MartletError(.unsupported, "openblas: not a plain f32 product") }
    let pass = ProductEpilogue.pass(single.epilogue.activation, kernels)
    for index in 0..<fold.count {
      let offsets = fold.offsets(index)
      let dst = single.dst.pointer.assumingMemoryBound(to: Float.self) + offsets.dst
      product(
        101, lhs.transposed ? 112 : 111, rhs.transposed ? 112 : 111, Int32(single.m),
        Int32(single.n), Int32(single.k), single.epilogue.alpha,
        single.lhs.pointer.assumingMemoryBound(to: Float.self) + offsets.lhs, lhs.stride,
        single.rhs.pointer.assumingMemoryBound(to: Float.self) + offsets.rhs, rhs.stride, 0,
        dst, Int32(single.dst.rowStride))
      guard let pass else { continue }
      for i in 0..<single.m {
        let row = dst + i * single.dst.rowStride
        pass.function(Int64(single.n), row, row, pass.a, pass.b)
      }
    }
    return Execution(
      backend: name, kernel: "cblas_sgemm", precision: "fp32",
      reason: kernels.precision(for: problem.mode).reason)
  }

  /// How BLAS would address a matrix: nil where it cannot.
  private static func layout(
    _ view: MatrixView, _ rows: Int, _ columns: Int
  ) -> (transposed: Bool, stride: Int32)? {
    if view.columnStride == 1, view.rowStride >= max(columns, 1) {
      return Int32(exactly: view.rowStride).map { (false, $0) }
    }
    if view.rowStride == 1, view.columnStride >= max(rows, 1) {
      return Int32(exactly: view.columnStride).map { (true, $0) }
    }
    return nil
  }
}
