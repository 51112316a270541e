import MartletCore
import MartletKernels

/// A product of f32 or bf16 matrices on a kernel row: chooses the row, says what precision that is,
/// and runs its loop over batch, rows and columns.
struct FloatProduct {
  private let fold: BatchFold
  private let kernels: KernelSet
  private let execution: Execution
  private let type: DType
  /// Takes the place of the cost model and of the tuning table.
  private let forced: GEMMChoice?
  private var loop: FloatLoop

  private var problem: GEMMProblem { fold.problem }
  var row: GEMMRow { loop.row }

  init(
    _ original: GEMMProblem, kernels: KernelSet, forcing forced: GEMMChoice? = nil
  ) throws(MartletError) {
    fold = BatchFold(BatchFold(original).problem.turnedIfVector(on: kernels))
    self.kernels = kernels
    self.forced = forced
    let problem = fold.problem
    let choice = try FloatProduct.precision(problem, kernels)
    type = choice.type
    let hasStrip = ProductEpilogue.strip(problem.epilogue.activation, kernels) != nil
    // A strip's activation works on f32: bf16 results are rounded after it.
    let isBF16Strip = problem.dst.dtype == .bfloat16 && hasStrip
    let dstType: DType = isBF16Strip ? .float32 : problem.dst.dtype
    guard
      let row = kernels.row(
        dst: dstType, lhs: choice.type, rhs: choice.type, reading: problem.packedRHS)
    else {
      if let packed = problem.packedRHS {
        throw MartletError(
          .invalidState, "matmul: rhs was packed for other kernels",
          expected: kernels.row(dst: dstType, lhs: choice.type, rhs: choice.type)
            .map { "\($0.layout)" } ?? "", actual: "\(packed.layout)")
      }
      throw MartletError(.internalError, "no GEMM kernel multiplies \(choice.type) into \(dstType)")
    }
    execution = Execution(
      backend: "native", kernel: row.name,
      precision: choice.type == .bfloat16 ? "bf16" : "fp32", reason: choice.reason)

    var epilogue = ProductEpilogue(problem.epilogue, kernels: kernels)
    var gathered: FloatLoop.GatheredResidual?
    if let residual = problem.epilogue.residual {
      if residual.columnStride == 1 || problem.n <= 1 {
        epilogue.tile.residual = UnsafePointer(residual.pointer.assumingMemoryBound(to: Float.self))
        epilogue.tile.residual_stride = Int64(residual.rowStride * 4)
      } else {
        gathered = FloatLoop.GatheredResidual(
          pointer: residual.pointer, rowStride: residual.rowStride * 4,
          columnStride: residual.columnStride * 4)
      }
    }
    var staging = FloatLoop.Staging()
    staging.resultInScratch = isBF16Strip
    staging.sumsInScratch =
      problem.dst.dtype == .bfloat16 || FloatProduct.residualMayTouchDst(problem)
    let rhs: RightOperand =
      if let packed = problem.packedRHS {
        .panels(PackedPanels(base: packed.storage.base, stride: packed.panelStride))
      } else {
        RightOperand(problem.rhs, row: row)
      }
    let dstBytes = problem.dst.dtype.wholeByteCount
    loop = FloatLoop(
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
      var high = view.dtype.wholeByteCount
      func extend(_ count: Int, _ stride: Int) {
        let span = (count - 1) * stride * view.dtype.wholeByteCount
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
    var shape = shape(threads: pool.threadCount)
    let choice = choice(shape)
    shape.threads = pool.threadCount(forNanoseconds: shape.nanoseconds(on: row))
    var loop = loop
    let isRunning: Bool
    switch choice?.route ?? defaultRoute(shape) {
    case .stream, .tiles, .packItems:
      isRunning = items(loop, columns: 0..<problem.n, shape, choice, pool)
    case .inPlace:
      loop.rhs = inPlace(shape)
      isRunning = items(loop, columns: 0..<problem.n, shape, choice, pool)
    case .packShared where fold.sharesRHS:
      isRunning = sharingPanels(loop, shape, choice, pool)
    case .packShared:
      var single = shape
      single.matrices = 1
      isRunning = (0..<matrices).allSatisfy { index in
        sharingPanels(moved(loop, to: index), single, choice, pool)
      }
    }
    guard isRunning else {
      throw MartletError(.outOfMemory, "matmul: no memory for packing operands")
    }
    return execution
  }

  /// The shape that choices are made by.
  func shape(threads: Int) -> GEMMShape {
    GEMMShape(
      m: problem.m, n: problem.n, k: problem.k, matrices: fold.count, threads: threads,
      type: type,
      lhs: GEMMShape.form(problem.lhs, type: type, rows: problem.m, columns: problem.k),
      rhs: problem.packedRHS != nil
        ? .packed : GEMMShape.form(problem.rhs, type: type, rows: problem.k, columns: problem.n))
  }

  /// Every route that this product can take.
  func routes(threads: Int) -> [GEMMChoice.Route] { shape(threads: threads).routes(on: loop.row) }

  /// What the cost model chooses, or its blocks for `route`.
  func plannedChoice(threads: Int, route: GEMMChoice.Route? = nil) -> GEMMChoice {
    let shape = shape(threads: threads)
    let route = route ?? defaultRoute(shape)
    let plan = GEMMPlan(request(route, shape, columns: problem.n), row: loop.row)
    return GEMMChoice(
      route: route, kc: plan.kc, mc: plan.mc, rows: plan.itemRows, columns: plan.itemColumns,
      tileRows: plan.tileRows)
  }

  private func choice(_ shape: GEMMShape) -> GEMMChoice? {
    guard let choice = forced ?? GEMMTuning.choice(for: shape, isa: kernels.name),
      shape.routes(on: loop.row).contains(choice.route)
    else { return nil }
    return choice
  }

  private func defaultRoute(_ shape: GEMMShape) -> GEMMChoice.Route {
    shape.route(on: loop.row, sharesRHS: fold.sharesRHS, rhsStride: problem.rhs.rowStride * 4)
  }

  private func inPlace(_ shape: GEMMShape) -> RightOperand {
    shape.rhs == .rows
      ? .rows(problem.rhs.pointer, rowStride: problem.rhs.rowStride * 4)
      : .columns(problem.rhs.pointer, columnStride: problem.rhs.columnStride * 4)
  }

  private func request(
    _ route: GEMMChoice.Route, _ shape: GEMMShape, columns: Int
  ) -> GEMMPlan.Request {
    GEMMPlan.Request(
      m: shape.m, n: columns, k: shape.k, matrices: shape.matrices, threads: shape.threads,
      copiesLHS: loop.lhs.isCopied, lhsStride: loop.lhs.strideInPlace,
      packsRHS: route == .packItems,
      isStaged: loop.staging.isNeeded || loop.gatheredResidual != nil,
      streams: route == .stream || (route == .inPlace && shape.m <= loop.row.streamMR),
      readsRows: route == .inPlace && shape.rhs == .rows,
      sharesSets: problem.rhs.rowStride % 1024 == 0)
  }

  /// The loop on matrix `index` of the batch.
  private func moved(_ loop: FloatLoop, to index: Int) -> FloatLoop {
    guard index > 0 else { return loop }
    let offsets = fold.offsets(index)
    var loop = loop
    loop.lhs = loop.lhs.moved(by: offsets.lhs * problem.lhs.dtype.wholeByteCount)
    loop.rhs = loop.rhs.moved(
      by: offsets.rhs * (problem.packedRHS?.matrixStride ?? problem.rhs.dtype.wholeByteCount))
    loop.dst += offsets.dst * problem.dst.dtype.wholeByteCount
    if let residual = loop.epilogue.tile.residual {
      loop.epilogue.tile.residual = residual + offsets.residual
    }
    loop.gatheredResidual?.pointer += offsets.residual * 4
    return loop
  }

  /// Runs items over batch × row blocks × column blocks. False: no memory.
  private func items(
    _ loop: FloatLoop, columns: Range<Int>, _ shape: GEMMShape, _ choice: GEMMChoice?,
    _ pool: ThreadPool, packed: Bool = false
  ) -> Bool {
    let route = packed ? .tiles : choice?.route ?? defaultRoute(shape)
    var request = request(route, shape, columns: columns.count)
    request.packsWithin = packed || route == .packItems
    var plan = GEMMPlan(request, row: loop.row)
    if let choice { plan = plan.with(choice, for: request, row: loop.row) }
    return loop.run(
      plan, rows: problem.m, columns: columns, matrices: shape.matrices, on: pool, moved: moved)
  }

  /// Packs rhs once for all threads, some columns at a time, then runs the items on them.
  private func sharingPanels(
    _ loop: FloatLoop, _ shape: GEMMShape, _ choice: GEMMChoice?, _ pool: ThreadPool
  ) -> Bool {
    let work = Double(problem.k) * Double(problem.n) * Double(problem.m)
    return loop.sharingPanels(
      columns: problem.n, threads: shape.threads,
      isParallel: shape.threads > 1 && work >= Double(GEMMPlan.serialWorkWhenPacking), on: pool
    ) { loop, columns in
      // A matrix of the batch moves all operands but these panels.
      items(loop, columns: columns, shape, choice, pool, packed: true)
    }
  }
}

extension GEMMProblem {
  /// The transposed problem where rhs is one column and dst one contiguous run: the matrix then
  /// streams past the vector instead of the vector filling a panel. The sums are the same.
  fileprivate func turnedIfVector(on kernels: KernelSet) -> GEMMProblem {
    guard n == 1, m > 1, packedRHS == nil, lhs.dtype == .float32, dst.rowStride == 1,
      lhs.columnStride == 1, !kernels.precision(for: mode).usesBF16,
      // With both, the order in which they are added would change.
      epilogue.rowBias == nil || epilogue.columnBias == nil
    else { return self }
    var turned = self
    (turned.m, turned.n) = (1, m)
    turned.lhs = rhs.transposed
    turned.rhs = lhs.transposed
    turned.dst = MatrixView(dst.pointer, dst.dtype, rowStride: m)
    turned.epilogue.residual = epilogue.residual?.transposed
    turned.epilogue.columnBias = epilogue.rowBias
    turned.epilogue.rowBias = epilogue.columnBias
    for axis in batch.indices {
      turned.batch[axis].lhsStride = batch[axis].rhsStride
      turned.batch[axis].rhsStride = batch[axis].lhsStride
    }
    return turned
  }
}

extension MatrixView {
  fileprivate var transposed: MatrixView {
    MatrixView(pointer, dtype, rowStride: columnStride, columnStride: rowStride)
  }
}
