import MartletCore
import MartletKernels
import Synchronization

/// A product of f32 or bf16 matrices on a kernel row: chooses the row, says what precision that is,
/// and runs the tile loop over batch, rows and columns.
struct PanelProduct {
  private let fold: BatchFold
  private let kernels: KernelSet
  private let execution: Execution
  private var loop: TileLoop

  private var problem: GEMMProblem { fold.problem }

  init(_ original: GEMMProblem, kernels: KernelSet) throws(MartletError) {
    fold = BatchFold(original)
    self.kernels = kernels
    let problem = fold.problem
    let choice = try PanelProduct.precision(problem, kernels)
    let hasStrip = ProductEpilogue.strip(problem.epilogue.activation, kernels) != nil
    // A strip's activation works on f32: bf16 results are rounded after it.
    let isBF16Strip = problem.dst.dtype == .bfloat16 && hasStrip
    let dstType: DType = isBF16Strip ? .float32 : problem.dst.dtype
    guard let row = kernels.row(dst: dstType, lhs: choice.type, rhs: choice.type) else {
      throw MartletError(
        .internalError, "no GEMM kernel multiplies \(choice.type) into \(dstType)")
    }
    execution = Execution(
      backend: "native", kernel: row.name,
      precision: choice.type == .bfloat16 ? "bf16" : "fp32", reason: choice.reason)

    var epilogue = ProductEpilogue(problem.epilogue, kernels: kernels)
    var gathered: TileLoop.GatheredResidual?
    if let residual = problem.epilogue.residual {
      if residual.columnStride == 1 || problem.n <= 1 {
        epilogue.tile.residual = UnsafePointer(
          residual.pointer.assumingMemoryBound(to: Float.self))
        epilogue.tile.residual_stride = Int64(residual.rowStride * 4)
      } else {
        gathered = TileLoop.GatheredResidual(
          pointer: residual.pointer, rowStride: residual.rowStride * 4,
          columnStride: residual.columnStride * 4)
      }
    }
    var staging = TileLoop.Staging()
    staging.resultInScratch = isBF16Strip
    staging.sumsInScratch =
      problem.dst.dtype == .bfloat16 || PanelProduct.residualMayTouchDst(problem)
    let rhs: RightOperand =
      if let packed = problem.packedRHS {
        .panels(packed.storage.base, panelStride: packed.panelStride, firstColumn: 0)
      } else {
        RightOperand(problem.rhs, row: row)
      }
    let dstBytes = problem.dst.dtype.byteCount
    loop = TileLoop(
      row: row, kernels: kernels, k: problem.k, kc: row.kc, mc: row.mc,
      lhs: LeftOperand(problem.lhs, row: row), rhs: rhs, dst: problem.dst.pointer,
      dstStride: problem.dst.rowStride * dstBytes, dstElementBytes: dstBytes,
      epilogue: epilogue, staging: staging, gatheredResidual: gathered)
  }

  /// The type that the operands are multiplied in.
  private static func precision(
    _ problem: GEMMProblem, _ kernels: KernelSet
  ) throws(MartletError) -> (type: DType, reason: String) {
    if problem.lhs.dtype == .bfloat16 {
      if let packed = problem.packedRHS, packed.dtype != .bfloat16 {
        throw .dtype("matmul", "packed rhs", expected: "bfloat16", actual: packed.dtype)
      }
      return (.bfloat16, "")
    }
    let (usesBF16, reason) = kernels.precision(for: problem.mode)
    guard let packed = problem.packedRHS else {
      return (usesBF16 ? .bfloat16 : .float32, reason)
    }
    if packed.dtype == .bfloat16, !usesBF16 {
      throw MartletError(
        .invalidState,
        "matmul: rhs was packed for bf16, and the mode \(problem.mode) does not permit bf16",
        expected: "rhs packed under \(problem.mode)", actual: "bf16 panels")
    }
    if packed.dtype == .float32, usesBF16 { return (.float32, "rhs was packed for fp32") }
    return (packed.dtype, reason)
  }

  /// Whether writing partial sums to dst could spoil the residual before it is read.
  private static func residualMayTouchDst(_ problem: GEMMProblem) -> Bool {
    guard let residual = problem.epilogue.residual else { return false }
    func bounds(
      _ view: MatrixView, _ batchStride: (BatchAxis) -> Int
    ) -> (low: UInt, high: UInt) {
      var low = 0
      var high = view.dtype.byteCount
      func extend(_ count: Int, _ stride: Int) {
        let span = (count - 1) * stride * view.dtype.byteCount
        if span < 0 { low += span } else { high += span }
      }
      extend(max(problem.m, 1), view.rowStride)
      extend(max(problem.n, 1), view.columnStride)
      for axis in problem.batch { extend(max(axis.count, 1), batchStride(axis)) }
      let base = UInt(bitPattern: view.pointer)
      return (base &+ UInt(bitPattern: low), base &+ UInt(bitPattern: high))
    }
    let a = bounds(residual) { $0.residualStride }
    let b = bounds(problem.dst) { $0.dstStride }
    return a.low < b.high && b.low < a.high
  }

  // MARK: - Running

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let matrices = fold.count
    guard problem.m > 0, problem.n > 0, matrices > 0 else { return execution }
    let isRunning: Bool
    if problem.packedRHS != nil {
      isRunning =
        loop.row.streamMR >= problem.m && !loop.staging.resultInScratch
          && loop.gatheredResidual == nil
        ? stream(matrices, pool)
        : items(loop, columns: 0..<problem.n, matrices: matrices, packsRHS: false, pool)
    } else if problem.m <= 2 * loop.row.mc && !(fold.sharesRHS && matrices > 1) {
      isRunning = items(loop, columns: 0..<problem.n, matrices: matrices, packsRHS: true, pool)
    } else if fold.sharesRHS {
      isRunning = sharingPanels(loop, matrices: matrices, pool)
    } else if Double(problem.m) * Double(problem.n) * Double(problem.k) < 1e7 {
      isRunning = items(loop, columns: 0..<problem.n, matrices: matrices, packsRHS: true, pool)
    } else {
      isRunning = (0..<matrices).allSatisfy { index in
        sharingPanels(moved(loop, to: index), matrices: 1, pool)
      }
    }
    guard isRunning else {
      throw MartletError(.outOfMemory, "matmul: no memory for packing operands")
    }
    return execution
  }

  /// The loop on matrix `index` of the batch.
  private func moved(_ loop: TileLoop, to index: Int) -> TileLoop {
    guard index > 0 else { return loop }
    let offsets = fold.offsets(index)
    var loop = loop
    loop.lhs = loop.lhs.moved(by: offsets.lhs * problem.lhs.dtype.byteCount)
    loop.rhs = loop.rhs.moved(by: offsets.rhs * problem.rhs.dtype.byteCount)
    loop.dst += offsets.dst * problem.dst.dtype.byteCount
    if let residual = loop.epilogue.tile.residual {
      loop.epilogue.tile.residual = residual + offsets.residual
    }
    loop.gatheredResidual?.pointer += offsets.residual * 4
    return loop
  }

  /// Runs items over batch × row blocks × column blocks. False: no memory.
  private func items(
    _ loop: TileLoop, columns: Range<Int>, matrices: Int, packsRHS: Bool, _ pool: ThreadPool
  ) -> Bool {
    let plan = GEMMPlan(
      GEMMPlan.Request(
        m: problem.m, n: columns.count, k: problem.k, matrices: matrices,
        threads: pool.threadCount, copiesLHS: loop.lhs.isCopied, packsRHS: packsRHS,
        isStaged: loop.staging.isNeeded || loop.gatheredResidual != nil),
      row: loop.row)
    return WorkItems(plan: plan, rows: problem.m, columns: columns, matrices: matrices)
      .run(loop, on: pool, moved: moved)
  }

  /// Packs rhs once for all threads, some columns at a time, then runs the items on them.
  private func sharingPanels(_ prototype: TileLoop, matrices: Int, _ pool: ThreadPool) -> Bool {
    let row = prototype.row
    let panelStride = row.panelBytes(problem.k)
    let panels = (problem.n + row.nr - 1) / row.nr
    let perChunk = min(
      panels, max(pool.threadCount * 2, GEMMPlan.sharedPanelBytes / max(panelStride, 1)))
    let isParallel =
      Double(problem.k) * Double(problem.n) * Double(problem.m) >= Double(GEMMPlan.serialWork)
    var isRunning = true
    let hasMemory = ThreadScratch.withBytes(perChunk * panelStride, .shared) { shared in
      for firstPanel in stride(from: 0, to: panels, by: perChunk) {
        let columns =
          firstPanel * row.nr..<min((firstPanel + perChunk) * row.nr, problem.n)
        prototype.rhs.packPanels(
          k: problem.k, columns: columns, row: row, into: shared, isParallel: isParallel, on: pool)
        var loop = prototype
        loop.rhs = .panels(
          UnsafeRawPointer(shared), panelStride: panelStride, firstColumn: columns.lowerBound)
        isRunning =
          items(loop, columns: columns, matrices: matrices, packsRHS: false, pool) && isRunning
      }
    }
    return hasMemory && isRunning
  }

  /// A few rows against packed panels: each item streams a range of panels once.
  private func stream(_ matrices: Int, _ pool: ThreadPool) -> Bool {
    guard case .panels(let base, let panelStride, _) = loop.rhs, let kernel = loop.row.stream
    else { return false }
    let row = loop.row
    let panels = (problem.n + row.nr - 1) / row.nr
    let work = Double(problem.m) * Double(problem.n) * Double(problem.k) * Double(matrices)
    let isParallel = pool.threadCount > 1 && work >= Double(GEMMPlan.serialWork)
    // Four items a thread, none below 128 KiB of panels.
    let smallest = max(1, (128 << 10) / max(panelStride, 1))
    let share = (panels + pool.threadCount * 4 - 1) / (pool.threadCount * 4)
    let perItem = isParallel ? max(smallest, share) : panels
    let blocks = (panels + perItem - 1) / perItem
    let scratchBytes = loop.lhs.scratchBytes(rows: problem.m, depth: problem.k, row: row)
    let failures = Atomic<Int>(0)
    func runItem(_ index: Int) {
      let (matrix, block) = index.quotientAndRemainder(dividingBy: blocks)
      let j0 = block * perItem * row.nr
      let columns = min(perItem * row.nr, problem.n - j0)
      let loop = moved(self.loop, to: matrix)
      let isDone = ThreadScratch.withBytes(scratchBytes, .item) { scratch in
        let (lhs, lhsStride) = loop.lhs.block(
          i0: 0, rows: problem.m, p0: 0, depth: problem.k, row: row, kernels: kernels,
          scratch: scratch)
        var epilogue = loop.epilogue.tile
        if let bias = epilogue.bias_n { epilogue.bias_n = bias + j0 }
        if let residual = epilogue.residual { epilogue.residual = residual + j0 }
        let dst = loop.dst + j0 * loop.dstElementBytes
        withUnsafePointer(to: &epilogue) { epilogue in
          var job = mk_gemm_stream()
          job.m = Int64(problem.m)
          job.n = Int64(columns)
          job.k = Int64(problem.k)
          job.lhs = lhs
          job.lhs_stride = Int64(lhsStride)
          job.rhs = base + block * perItem * panelStride
          job.rhs_panel_stride = Int64(panelStride)
          job.dst = dst
          job.dst_stride = Int64(loop.dstStride)
          job.epilogue = epilogue
          kernel(&job)
        }
        guard let strip = loop.epilogue.strip else { return }
        for i in 0..<problem.m {
          let values = (dst + i * loop.dstStride).assumingMemoryBound(to: Float.self)
          strip.function(Int64(columns), values, values, strip.a, strip.b)
        }
      }
      if !isDone { failures.add(1, ordering: .relaxed) }
    }
    if isParallel {
      pool.parallelFor(matrices * blocks, runItem)
    } else {
      for index in 0..<matrices * blocks { runItem(index) }
    }
    return failures.load(ordering: .relaxed) == 0
  }
}
