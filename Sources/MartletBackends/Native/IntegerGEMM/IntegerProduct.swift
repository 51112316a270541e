import MartletCore
import MartletKernels

extension NativeBackend {
  func supports(_ problem: IntegerProblem) -> Bool { true }

  func multiply(
    _ problems: [IntegerProblem], pool: ThreadPool
  ) throws(MartletError) -> Execution {
    let preferred = try integerRow()
    for problem in problems { try problem.validate(kernels) }
    let isRunning = WorkItems.runProducts(
      problems.count, enough: 2 * pool.threadCount, on: pool
    ) { index, threads in
      let problem = problems[index]
      let row = kernels.integerRow(reading: problem.packedRHS) ?? preferred
      return IntegerProduct(problem, row).run(on: pool, threads: threads)
    }
    guard isRunning else {
      throw MartletError(.outOfMemory, "integer matmul: no memory for packing operands")
    }
    let row = kernels.integerRow(reading: problems.last?.packedRHS) ?? preferred
    return Execution(backend: name, kernel: row.name, precision: "int8")
  }

  func packIntegers(
    _ rhs: MatrixView, k: Int, n: Int, pool: ThreadPool
  ) throws(MartletError) -> PackedIntegerMatrix {
    let row = try integerRow()
    guard rhs.dtype == .int8 || rhs.dtype == .uint8 else {
      throw .dtype("pack", "rhs", expected: "int8 or uint8", actual: rhs.dtype)
    }
    _ = try Shape.byteCount([k + row.kr, row.panels(n), row.nr], .int32)
    let storage = try Storage(byteCount: PackedPanels.byteCount(columns: n, k: k, row: row))
    let panels = PackedPanels(at: storage.base, columns: n, k: k, row: row)
    let isPacked = IntegerRightOperand(rhs).pack(
      0..<n, k: k, row: row, into: panels, isParallel: k * n >= 1 << 18, on: pool)
    guard isPacked else { throw MartletError(.outOfMemory, "pack: no memory for packing") }
    return PackedIntegerMatrix(
      k: k, n: n, dtype: rhs.dtype, layout: row.layout, panels: panels, storage: storage)
  }

  func integerRow() throws(MartletError) -> IntegerRow {
    guard let row = kernels.integerRow() else {
      throw MartletError(.internalError, "no kernel multiplies int8")
    }
    return row
  }
}

extension IntegerProblem {
  /// Throws what `validate` does, and `invalidState` for a rhs that no row of `kernels` reads.
  fileprivate func validate(_ kernels: KernelSet) throws(MartletError) {
    try validate()
    guard let packedRHS else { return }
    guard packedRHS.k == k, packedRHS.n == n, packedRHS.dtype == rhs.dtype else {
      throw .shape(
        "integer matmul", "packed rhs", expected: "\(rhs.dtype) [\(k), \(n)]",
        actual: "\(packedRHS.dtype) [\(packedRHS.k), \(packedRHS.n)]")
    }
    guard kernels.integerRow(reading: packedRHS) != nil else {
      throw MartletError(
        .invalidState, "integer matmul: rhs was packed for other kernels",
        expected: kernels.integers.map { "\($0.layout)" }.joined(separator: " or "),
        actual: "\(packedRHS.layout)")
    }
  }
}

/// One product of integers: how it is cut into work items, and those run on the pool.
struct IntegerProduct {
  let m: Int
  let n: Int
  let loop: IntegerLoop
  /// Whether all threads may share the panels of one packing of rhs.
  let sharesPanels: Bool

  /// Multiply-adds below which a second thread costs more than it brings.
  private static let serialWork = 1 << 19
  /// Bytes of the panels that an item packs for itself, which must stay in L2.
  private static let itemPanelBytes = 256 << 10
  /// Columns of an item of packed panels.
  private static let itemColumns = 512
  private static let narrowestColumns = 32
  /// Rows whose panels are streamed from memory, whole K at a time.
  private static let streamedRows = 8

  /// False: no memory for scratch.
  func run(on pool: ThreadPool, threads: Int) -> Bool {
    guard m > 0, n > 0 else { return true }
    guard sharesPanels, m > 2 * loop.row.mc else {
      return items(loop, columns: 0..<n, threads: threads, pool)
    }
    return loop.sharingPanels(columns: n, threads: threads, isParallel: threads > 1, on: pool) {
      items($0, columns: $1, threads: threads, pool)
    }
  }

  /// Runs items over row blocks × column blocks.
  private func items(
    _ prototype: IntegerLoop, columns: Range<Int>, threads: Int, _ pool: ThreadPool
  ) -> Bool {
    var loop = prototype
    let row = loop.row
    let packsItself = loop.rhs.panels == nil
    let isStreamed = !packsItself && m <= IntegerProduct.streamedRows
    loop.kc = isStreamed ? max(loop.k, 1) : GEMMPlan.evenBlock(loop.k, most: row.kc, step: row.kr)
    loop.mc = GEMMPlan.evenBlock(m, most: row.mc, step: row.mr)
    var most = IntegerProduct.itemColumns
    if packsItself { most = max(row.nr, IntegerProduct.itemPanelBytes / loop.kc) }
    if isStreamed { most = columns.count }
    let work = Double(m) * Double(columns.count) * Double(max(loop.k, 1))
    var items = WorkItems(
      rows: m, columns: columns, itemRows: packsItself ? m : loop.mc,
      itemColumns: GEMMPlan.evenBlock(columns.count, most: most, step: row.nr),
      isParallel: threads > 1 && work >= Double(IntegerProduct.serialWork))
    while items.isParallel, items.count < 4 * threads {
      let halfColumns = (items.itemColumns / 2 + row.nr - 1) / row.nr * row.nr
      let halfRows = (items.itemRows / 2 + row.mr - 1) / row.mr * row.mr
      if halfColumns < items.itemColumns, halfColumns >= IntegerProduct.narrowestColumns,
        items.itemColumns >= items.itemRows || packsItself || isStreamed
      {
        items.itemColumns = halfColumns
      } else if !packsItself, halfRows < items.itemRows {
        items.itemRows = halfRows
      } else {
        break
      }
    }
    return items.run(loop, on: pool) { loop, _ in loop }
  }
}

extension IntegerProduct {
  init(_ problem: IntegerProblem, _ row: IntegerRow) {
    let rhs =
      problem.packedRHS.map { IntegerRightOperand(problem.rhs).packed($0.panels) }
      ?? IntegerRightOperand(problem.rhs)
    self.init(
      m: problem.m, n: problem.n,
      loop: IntegerLoop(
        row: row, k: problem.k, kc: row.kc, mc: row.mc, lhs: problem.lhs, rhs: rhs,
        lhsZero: problem.lhsZero, rhsZero: problem.rhsZero, dst: problem.dst.pointer,
        dstType: problem.dst.dtype,
        dstStride: problem.dst.rowStride * problem.dst.dtype.wholeByteCount,
        epilogue: problem.epilogue),
      sharesPanels: problem.packedRHS == nil)
  }
}
