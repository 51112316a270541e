import MartletCore
import MartletKernels

/// A product so small that its kernel takes no longer than a plan and its work items would,
/// or of so few rows or columns that neither matrix is worth packing: both are read where they lie,
/// or rhs from panels, of bf16 where the kernels have that. The sums are those of every route.
enum SmallProduct {
  /// Runs `problem`, which is valid, or returns nil where it is not of this kind: more than one
  /// matrix, bf16 but for panels of it, a residual, an activation that the tile does not know, more than 64^3
  /// multiply-adds (`isSmall`) of many rows and columns, or a table of timed choices in use.
  static func run(_ problem: GEMMProblem, kernels: KernelSet, pool: ThreadPool) -> Execution? {
    guard let row = row(problem, kernels: kernels, threads: pool.threadCount),
      let kernel = row.small, GEMMTuning.isEmpty
    else { return nil }
    var epilogue = mk_epilogue()
    epilogue.alpha = problem.epilogue.alpha
    epilogue.bias_n = problem.epilogue.columnBias
    epilogue.bias_m = problem.epilogue.rowBias
    (epilogue.act, epilogue.lo, epilogue.hi) =
      ProductEpilogue.tileActivation(problem.epilogue.activation)
    let isPlain =
      epilogue.alpha == 1 && epilogue.bias_n == nil && epilogue.bias_m == nil
      && problem.epilogue.activation == nil
    var job = job(problem, row)
    let rows = rowsOfItem(problem, row, pool)
    withUnsafeMutablePointer(to: &epilogue) { epilogue in
      if !isPlain { job.epilogue = UnsafePointer(epilogue) }
      guard rows < problem.m else { return kernel(&job) }
      let (whole, biases) = (job, epilogue.pointee)
      pool.parallelFor((problem.m + rows - 1) / rows) { index in
        let i0 = index * rows
        var part = whole
        var moved = biases
        part.m = Int64(min(rows, problem.m - i0))
        part.lhs += i0 &* Int(whole.lhs_stride)
        part.dst += i0 &* Int(whole.dst_stride)
        if let bias = biases.bias_m { moved.bias_m = bias + i0 }
        withUnsafePointer(to: &moved) { moved in
          if !isPlain { part.epilogue = moved }
          kernel(&part)
        }
      }
    }
    return execution(problem, row, kernels)
  }

  /// A product without an epilogue as the one call that it is, for memory that stays where it is.
  struct Prepared {
    let execution: Execution
    private let kernel: GEMMRow.Stream
    private var job: mk_gemm_stream
    // What `job` points into.
    private let packed: PackedMatrix?

    fileprivate init(
      _ job: mk_gemm_stream, _ kernel: @escaping GEMMRow.Stream, _ execution: Execution,
      packed: PackedMatrix?
    ) {
      (self.job, self.kernel, self.execution, self.packed) = (job, kernel, execution, packed)
    }

    mutating func run() { kernel(&job) }
  }

  /// `problem`, which is valid, for many runs; nil where `run` would not take it, would share it
  /// among threads, or where it has an epilogue.
  static func prepare(
    _ problem: GEMMProblem, kernels: KernelSet, pool: ThreadPool
  ) -> Prepared? {
    let epilogue = problem.epilogue
    guard epilogue.alpha == 1, epilogue.columnBias == nil, epilogue.rowBias == nil,
      epilogue.activation == nil,
      let row = row(problem, kernels: kernels, threads: pool.threadCount),
      let kernel = row.small, GEMMTuning.isEmpty, rowsOfItem(problem, row, pool) >= problem.m
    else { return nil }
    return Prepared(
      job(problem, row), kernel, execution(problem, row, kernels), packed: problem.packedRHS)
  }

  private static func job(_ problem: GEMMProblem, _ row: GEMMRow) -> mk_gemm_stream {
    let (lhsBytes, dstBytes) = (problem.lhs.dtype.wholeByteCount, problem.dst.dtype.wholeByteCount)
    var job = mk_gemm_stream()
    job.m = Int64(problem.m)
    job.n = Int64(problem.n)
    job.k = Int64(problem.k)
    job.lhs = UnsafeRawPointer(problem.lhs.pointer)
    job.lhs_stride = Int64(problem.lhs.rowStride &* lhsBytes)
    if row.lhs != problem.lhs.dtype { job.flags = UInt32(MK_ROUND_LHS) }
    job.l1_rows = l1Rows(problem, row)
    if let packed = problem.packedRHS {
      job.rhs = UnsafeRawPointer(packed.storage.base)
      job.rhs_panel_stride = Int64(packed.panelStride)
    } else {
      job.rhs = UnsafeRawPointer(problem.rhs.pointer)
      job.rhs_panel_stride = Int64(row.nr * 4)
      job.rhs_line_stride = Int64(problem.rhs.rowStride &* 4)
    }
    job.dst = problem.dst.pointer
    job.dst_stride = Int64(problem.dst.rowStride &* dstBytes)
    return job
  }

  private static func execution(
    _ problem: GEMMProblem, _ row: GEMMRow, _ kernels: KernelSet
  ) -> Execution {
    if row.lhs == .bfloat16 {
      return Execution(backend: "native", kernel: row.name, precision: "bf16", reason: "")
    }
    return Execution(
      backend: "native", kernel: row.name, precision: "fp32",
      reason: kernels.precision(for: problem.mode).reason)
  }

  /// The row whose `small` computes `problem`, if it is of this kind on `threads` threads.
  private static func row(_ problem: GEMMProblem, kernels: KernelSet, threads: Int) -> GEMMRow? {
    if suits(problem, kernels: kernels, threads: threads) { return kernels.float32 }
    guard let packed = problem.packedRHS, packed.dtype == .bfloat16, let row = kernels.bfloat16,
      row.small != nil, packed.layout == row.layout,
      problem.dst.dtype == .float32 || problem.lhs.dtype == .bfloat16
    else { return nil }
    let (m, n, k) = (problem.m, problem.n, problem.k)
    guard m > 0, n > 0, k > 0, isSmall(m, n, k, row), problem.batch.isEmpty,
      problem.lhs.columnStride == 1, problem.epilogue.residual == nil,
      hasTileActivation(problem)
    else { return nil }
    if problem.lhs.dtype == .bfloat16 {
      return problem.dst.dtype == .float32
        ? row : kernels.row(dst: .bfloat16, lhs: .bfloat16, rhs: .bfloat16)
    }
    return k <= row.smallK && kernels.precision(for: problem.mode).usesBF16 ? row : nil
  }

  /// Whether `problem` is one of f32 of this kind on `threads` threads.
  private static func suits(_ problem: GEMMProblem, kernels: KernelSet, threads: Int) -> Bool {
    let (m, n, k) = (problem.m, problem.n, problem.k)
    guard let row = kernels.float32, m > 0, n > 0, k > 0,
      isSmall(m, n, k, row) || hasFewColumns(problem, row) || isShallow(n, k)
        || (threads == 1 && hasFewRows(problem)),
      problem.batch.isEmpty, problem.lhs.dtype == .float32, problem.lhs.columnStride == 1,
      readsRHS(problem, row), problem.epilogue.residual == nil,
      !kernels.precision(for: problem.mode).usesBF16
    else { return false }
    return hasTileActivation(problem)
  }

  private static func hasTileActivation(_ problem: GEMMProblem) -> Bool {
    switch problem.epilogue.activation {
    case nil, .relu?, .clamp?: true
    default: false
    }
  }

  /// Whether `problem` is of this kind and its right matrix as fast where it lies as packed: it stays
  /// in L1, its rows do not straddle cache lines, or its lines are shorter than a panel's.
  static func needsNoPanels(_ problem: GEMMProblem, kernels: KernelSet) -> Bool {
    guard let row = kernels.float32, suits(problem, kernels: kernels, threads: 0)
    else { return false }
    return problem.n <= row.fewColumns || problem.k * problem.n <= 4096
      || problem.rhs.rowStride % row.nr == 0
  }

  private static func isSmall(_ m: Int, _ n: Int, _ k: Int, _ row: GEMMRow) -> Bool {
    // Threads cannot share a tile, and have little of two columns of tiles.
    if m <= row.mr && n <= row.nr { return true }
    let limit = GEMMPlan.serialWork * (n <= 2 * row.nr ? 2 : 1)
    return m <= limit && n <= limit && k <= limit && m * n <= limit && m * n * k <= limit
  }

  /// Whether the kernel turns lhs in registers, for rows to fill the vectors that columns would not.
  private static func hasFewColumns(_ problem: GEMMProblem, _ row: GEMMRow) -> Bool {
    guard endsInFewColumns(problem.n, row) else { return false }
    return problem.epilogue.rowBias == nil || problem.epilogue.columnBias == nil
  }

  /// Whether `n` columns are few, or one vector of them and few.
  private static func endsInFewColumns(_ n: Int, _ row: GEMMRow) -> Bool {
    n <= row.fewColumns || (n > row.vector && n - row.vector <= row.fewBehind)
  }

  /// Whether so few rows use each line of rhs that packing it costs a single thread more than it
  /// saves, which it does not where lines lie pages apart (Benchmarks/sweep.py, AVX2).
  private static func hasFewRows(_ problem: GEMMProblem) -> Bool {
    problem.m <= 48 && problem.packedRHS == nil && problem.rhs.rowStride <= 512
  }

  /// Whether rhs stays in L2 and a sum is so short that writing dst takes the time.
  private static func isShallow(_ n: Int, _ k: Int) -> Bool {
    k <= shortK && n <= 1 << 16 && k * n <= 1 << 16
  }

  /// Rows of lhs that the kernel may go down side by side; 0: as many as it does.
  private static func l1Rows(_ problem: GEMMProblem, _ row: GEMMRow) -> Int64 {
    guard row.lhs == .float32 else { return 0 }  // others round lhs to rows of their own
    // Two vectors of rows are the most, where lhs is turned.
    let most = min(
      max(row.mr, row.tallMR, endsInFewColumns(problem.n, row) ? 2 * row.vector : 0), problem.m)
    var rows = CacheSets.level1.rows(atMost: most, stride: problem.lhs.rowStride &* 4)
    if problem.k <= shortK, problem.n > row.nr {
      // A line that a panel has filled in part must still be there for the next panel.
      rows = CacheSets.level1.rows(
        atMost: rows, stride: problem.dst.rowStride &* 4, width: row.nr * 4)
    }
    return rows < most ? Int64(rows) : 0
  }

  /// K up to which a sum is so short that writing dst takes the time.
  private static let shortK = 32

  /// Rows that one item of `problem` takes: all, unless it takes longer than what is small.
  private static func rowsOfItem(_ problem: GEMMProblem, _ row: GEMMRow, _ pool: ThreadPool) -> Int
  {
    // At 32 bytes of lhs and 16 of dst a nanosecond, and the row's rate.
    let (m, n, k) = (Double(problem.m), Double(problem.n), Double(problem.k))
    let nanoseconds = max(m * k / 8, m * n / 4, m * n * k / Double(row.rate))
    guard nanoseconds >= leastShared else { return problem.m }
    let threads = pool.threadCount(forNanoseconds: Int(min(nanoseconds, 1e15)))
    guard threads > 1 else { return problem.m }
    let items = min(threads * 4, Int(min(nanoseconds, 1e15) / (leastShared / 4)))
    // Rows of bf16 have no vector of their own.
    let step = max(2 * row.vector, row.mr)
    return ((problem.m + items - 1) / items + step - 1) / step * step
  }

  /// Nanoseconds of one thread from which others help.
  private static let leastShared = 32_768.0

  /// Whether `row` does best to read the right matrix of `problem` as it is at hand.
  private static func readsRHS(_ problem: GEMMProblem, _ row: GEMMRow) -> Bool {
    if let packed = problem.packedRHS { return packed.layout == row.layout }
    guard problem.rhs.columnStride == 1, problem.rhs.rowStride != 0 else { return false }
    if problem.m <= row.mr { return true }
    // Rows a power of two apart share their cache sets.
    return problem.m <= row.streamMR || problem.k <= shortK || problem.rhs.rowStride % 256 != 0
  }
}
