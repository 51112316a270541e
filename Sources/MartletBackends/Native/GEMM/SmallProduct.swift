import MartletCore
import MartletKernels

/// A product of f32 so small that its kernel takes no longer than a plan and its work items would:
/// one call on one thread reads both matrices where they lie, or rhs from panels. The sums are those
/// of every route.
enum SmallProduct {
  /// Runs `problem`, which is valid, or returns nil where it is not of this kind: more than one
  /// matrix, panels of bf16, a residual, an activation that the tile does not know, more than 64^3
  /// multiply-adds (`isSmall`), or a table of timed choices in use.
  static func run(_ problem: GEMMProblem, kernels: KernelSet) -> Execution? {
    guard suits(problem, kernels: kernels), GEMMTuning.isEmpty,
      let row = kernels.float32, let kernel = row.small
    else { return nil }
    var epilogue = mk_epilogue()
    epilogue.alpha = problem.epilogue.alpha
    epilogue.bias_n = problem.epilogue.columnBias
    epilogue.bias_m = problem.epilogue.rowBias
    (epilogue.act, epilogue.lo, epilogue.hi) =
      ProductEpilogue.tileActivation(problem.epilogue.activation)
    var job = mk_gemm_stream()
    job.m = Int64(problem.m)
    job.n = Int64(problem.n)
    job.k = Int64(problem.k)
    job.lhs = UnsafeRawPointer(problem.lhs.pointer)
    job.lhs_stride = Int64(problem.lhs.rowStride &* 4)
    if let packed = problem.packedRHS {
      job.rhs = UnsafeRawPointer(packed.storage.base)
      job.rhs_panel_stride = Int64(packed.panelStride)
    } else {
      job.rhs = UnsafeRawPointer(problem.rhs.pointer)
      job.rhs_panel_stride = Int64(row.nr * 4)
      job.rhs_line_stride = Int64(problem.rhs.rowStride &* 4)
    }
    job.dst = problem.dst.pointer
    job.dst_stride = Int64(problem.dst.rowStride &* 4)
    withUnsafePointer(to: &epilogue) { epilogue in
      job.epilogue = epilogue
      kernel(&job)
    }
    return Execution(
      backend: "native", kernel: row.name, precision: "fp32",
      reason: kernels.precision(for: problem.mode).reason)
  }

  /// Whether `problem` is of this kind.
  static func suits(_ problem: GEMMProblem, kernels: KernelSet) -> Bool {
    let (m, n, k) = (problem.m, problem.n, problem.k)
    guard let row = kernels.float32, m > 0, n > 0, k > 0, m <= GEMMPlan.serialWork,
      n <= GEMMPlan.serialWork, m * n <= GEMMPlan.serialWork, isSmall(m, n, k, row),
      problem.batch.isEmpty, problem.lhs.dtype == .float32, problem.lhs.columnStride == 1,
      readsRHS(problem, row), problem.epilogue.residual == nil,
      !kernels.precision(for: problem.mode).usesBF16
    else { return false }
    switch problem.epilogue.activation {
    case .none, .relu, .clamp: return true
    default: return false
    }
  }

  /// Whether `problem` is of this kind and its right matrix as fast where it lies as packed: it stays
  /// in L1, or its rows do not straddle cache lines.
  static func needsNoPanels(_ problem: GEMMProblem, kernels: KernelSet) -> Bool {
    guard let row = kernels.float32, suits(problem, kernels: kernels) else { return false }
    return problem.k * problem.n <= 4096 || problem.rhs.rowStride % row.nr == 0
  }

  private static func isSmall(_ m: Int, _ n: Int, _ k: Int, _ row: GEMMRow) -> Bool {
    // Threads cannot share a tile, and have little of two columns of tiles.
    if m <= row.mr && n <= row.nr { return true }
    let limit = GEMMPlan.serialWork * (n <= 2 * row.nr ? 2 : 1)
    return k <= limit && m * n * k <= limit
  }

  /// Whether `row` does best to read the right matrix of `problem` as it is at hand.
  private static func readsRHS(_ problem: GEMMProblem, _ row: GEMMRow) -> Bool {
    if let packed = problem.packedRHS { return packed.dtype == .float32 }
    guard problem.rhs.columnStride == 1, problem.rhs.rowStride != 0 else { return false }
    if problem.m <= row.mr { return true }
    // A large matrix by a vector is faster as its transpose.
    if problem.n == 1, problem.m * problem.k > largeMatrix { return false }
    // Rows a power of two apart share their cache sets.
    return problem.m <= row.streamMR || problem.k <= 32 || problem.rhs.rowStride % 256 != 0
  }

  /// Elements from which turning the product of a matrix by a vector saves more than it costs
  /// (Benchmarks/sweep.py, AVX2).
  private static let largeMatrix = 16 << 10
}
