import MartletCore
import MartletKernels
import Synchronization

extension NativeBackend {
  func supports(_ problem: IntegerProblem) -> Bool { true }

  func multiply(
    _ problems: [IntegerProblem], pool: ThreadPool
  ) throws(MartletError) -> Execution {
    let preferred = try integerRow()
    for problem in problems { try problem.validate(kernels) }
    // Enough matrices for all threads: one each; else each is divided.
    let isSplit = problems.count < 2 * pool.threadCount
    let failures = Atomic<Int>(0)
    func run(_ index: Int, threads: Int) {
      let problem = problems[index]
      let row = kernels.integerRow(reading: problem.packedRHS) ?? preferred
      let product = IntegerProduct(problem, row)
      if !product.run(on: pool, threads: threads) { failures.add(1, ordering: .relaxed) }
    }
    if isSplit || pool.threadCount == 1 {
      for index in problems.indices { run(index, threads: pool.threadCount) }
    } else {
      pool.parallelFor(problems.count) { run($0, threads: 1) }
    }
    guard failures.load(ordering: .relaxed) == 0 else {
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
    let panels = (n + row.nr - 1) / row.nr
    _ = try Shape.byteCount([k + row.kr, panels, row.nr], .int32)
    let panelStride = row.panelBytes(k)
    let sumsOffset = (panels * panelStride + 63) / 64 * 64
    let storage = try Storage(byteCount: sumsOffset + panels * row.nr * 4)
    IntegerProduct.packPanels(
      rhs, k: k, columns: 0..<n, row, into: storage.base,
      sums: (storage.base + sumsOffset).assumingMemoryBound(to: Int32.self),
      threads: k * n >= 1 << 18 ? pool.threadCount : 1, pool)
    return PackedIntegerMatrix(
      k: k, n: n, dtype: rhs.dtype, layout: row.layout, panelStride: panelStride,
      storage: storage, sumsOffset: sumsOffset)
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
  private let m: Int
  private let n: Int
  private let row: IntegerRow
  private var loop: IntegerLoop
  private let rhs: MatrixView
  private let isPacked: Bool

  /// Multiply-adds below which a second thread costs more than it brings.
  private static let serialWork = 1 << 19
  /// Bytes of rhs panels that are packed at a time when all threads share them.
  private static let sharedPanelBytes = 8 << 20
  /// Bytes of the panels that an item packs for itself, which must stay in L2.
  private static let itemPanelBytes = 256 << 10
  /// Columns of an item of packed panels.
  private static let itemColumns = 512
  private static let narrowestColumns = 32
  /// Rows whose panels are streamed from memory, whole K at a time.
  private static let streamedRows = 8

  init(_ problem: IntegerProblem, _ row: IntegerRow) {
    m = problem.m
    n = problem.n
    self.row = row
    rhs = problem.rhs
    isPacked = problem.packedRHS != nil
    let right: IntegerLoop.Right =
      if let packed = problem.packedRHS {
        .panels(
          packed.storage.base, stride: packed.panelStride,
          sums: UnsafePointer(
            (packed.storage.base + packed.sumsOffset).assumingMemoryBound(to: Int32.self)),
          firstColumn: 0)
      } else {
        .strided(
          problem.rhs.pointer, kStride: problem.rhs.rowStride, nStride: problem.rhs.columnStride)
      }
    loop = IntegerLoop(
      row: row, k: problem.k, kc: row.kc, mc: row.mc, lhs: problem.lhs, right: right,
      rhsType: problem.rhs.dtype, lhsZero: problem.lhsZero, rhsZero: problem.rhsZero,
      dst: problem.dst.pointer, dstType: problem.dst.dtype,
      dstStride: problem.dst.rowStride * problem.dst.dtype.wholeByteCount,
      epilogue: problem.epilogue)
  }

  /// A product whose right-hand side each item makes for itself.
  init(m: Int, n: Int, row: IntegerRow, loop: IntegerLoop) {
    self.m = m
    self.n = n
    self.row = row
    self.loop = loop
    rhs = loop.lhs
    isPacked = true
  }

  /// False: no memory for scratch.
  func run(on pool: ThreadPool, threads: Int) -> Bool {
    guard m > 0, n > 0 else { return true }
    if isPacked || m <= 2 * row.mc { return items(loop, columns: 0..<n, threads: threads, pool) }
    return sharingPanels(threads: threads, pool)
  }

  /// Packs rhs once for all threads, some columns at a time.
  private func sharingPanels(threads: Int, _ pool: ThreadPool) -> Bool {
    let panelStride = row.panelBytes(loop.k)
    let panels = (n + row.nr - 1) / row.nr
    let perChunk = min(
      panels, max(threads * 2, IntegerProduct.sharedPanelBytes / max(panelStride, 1)))
    var isRunning = true
    let sumsOffset = (perChunk * panelStride + 63) / 64 * 64
    let hasMemory = ThreadScratch.withBytes(sumsOffset + perChunk * row.nr * 4, .shared) {
      shared in
      let sums = (shared + sumsOffset).assumingMemoryBound(to: Int32.self)
      for firstPanel in stride(from: 0, to: panels, by: perChunk) {
        let columns = firstPanel * row.nr..<min((firstPanel + perChunk) * row.nr, n)
        IntegerProduct.packPanels(
          rhs, k: loop.k, columns: columns, row, into: shared, sums: sums, threads: threads, pool)
        var loop = loop
        loop.right = .panels(
          UnsafeRawPointer(shared), stride: panelStride, sums: UnsafePointer(sums),
          firstColumn: columns.lowerBound)
        isRunning = items(loop, columns: columns, threads: threads, pool) && isRunning
      }
    }
    return hasMemory && isRunning
  }

  /// Packs all of K for `columns` into panels with their columns' sums.
  static func packPanels(
    _ rhs: MatrixView, k: Int, columns: Range<Int>, _ row: IntegerRow,
    into target: UnsafeMutableRawPointer, sums: UnsafeMutablePointer<Int32>, threads: Int,
    _ pool: ThreadPool
  ) {
    let panelStride = row.panelBytes(k)
    let panels = (columns.count + row.nr - 1) / row.nr
    sums.update(repeating: 0, count: panels * row.nr)
    let group = max(1, min(64 / row.nr, panels / (4 * max(threads, 1))))
    func packGroup(_ index: Int) {
      let first = index * group * row.nr
      var job = mk_int8_pack_rhs()
      job.k = Int64(k)
      job.n = Int64(min(group * row.nr, columns.count - first))
      job.src = UnsafeRawPointer(rhs.pointer) + (columns.lowerBound + first) * rhs.columnStride
      job.k_stride = Int64(rhs.rowStride)
      job.n_stride = Int64(rhs.columnStride)
      job.is_signed = rhs.dtype == .int8
      job.dst = target + index * group * panelStride
      job.dst_panel_stride = Int64(panelStride)
      job.sums = sums + first
      row.packRHS(&job)
    }
    let groups = (panels + group - 1) / group
    if threads > 1 {
      pool.parallelFor(groups, packGroup)
    } else {
      for index in 0..<groups { packGroup(index) }
    }
  }

  /// Runs items over row blocks × column blocks.
  private func items(
    _ prototype: IntegerLoop, columns: Range<Int>, threads: Int, _ pool: ThreadPool
  ) -> Bool {
    var loop = prototype
    let packsItself = if case .panels = loop.right { false } else { true }
    let isStreamed = !packsItself && m <= IntegerProduct.streamedRows
    loop.kc = isStreamed ? max(loop.k, 1) : even(loop.k, most: row.kc, step: row.kr)
    loop.mc = even(m, most: row.mc, step: row.mr)
    var rowsEach = packsItself ? m : loop.mc
    var most = IntegerProduct.itemColumns
    if packsItself { most = max(row.nr, IntegerProduct.itemPanelBytes / loop.kc) }
    if isStreamed { most = columns.count }
    var columnsEach = even(columns.count, most: most, step: row.nr)
    let work = Double(m) * Double(columns.count) * Double(max(loop.k, 1))
    let isParallel = threads > 1 && work >= Double(IntegerProduct.serialWork)
    func count() -> Int {
      ((m + rowsEach - 1) / rowsEach) * ((columns.count + columnsEach - 1) / columnsEach)
    }
    while isParallel, count() < 4 * threads {
      let halfColumns = (columnsEach / 2 + row.nr - 1) / row.nr * row.nr
      let halfRows = (rowsEach / 2 + row.mr - 1) / row.mr * row.mr
      if halfColumns < columnsEach, halfColumns >= IntegerProduct.narrowestColumns,
        columnsEach >= rowsEach || packsItself || isStreamed
      {
        columnsEach = halfColumns
      } else if !packsItself, halfRows < rowsEach {
        rowsEach = halfRows
      } else {
        break
      }
    }
    let rowBlocks = (m + rowsEach - 1) / rowsEach
    let blocks = rowBlocks * ((columns.count + columnsEach - 1) / columnsEach)
    let scratchBytes = loop.scratchBytes(
      rows: min(rowsEach, m), columns: min(columnsEach, columns.count))
    let failures = Atomic<Int>(0)
    func runItem(_ index: Int) {
      let (columnBlock, rowBlock) = index.quotientAndRemainder(dividingBy: rowBlocks)
      let i0 = rowBlock * rowsEach
      let j0 = columns.lowerBound + columnBlock * columnsEach
      let isDone = ThreadScratch.withBytes(scratchBytes, .item) { scratch in
        loop.run(
          rows: i0..<min(i0 + rowsEach, m),
          columns: j0..<min(j0 + columnsEach, columns.upperBound), scratch: scratch)
      }
      if !isDone { failures.add(1, ordering: .relaxed) }
    }
    if isParallel {
      pool.parallelFor(blocks, runItem)
    } else {
      for index in 0..<blocks { runItem(index) }
    }
    return failures.load(ordering: .relaxed) == 0
  }

  /// Blocks of one extent, as even as multiples of `step` allow.
  private func even(_ extent: Int, most: Int, step: Int) -> Int {
    let blocks = max((max(extent, 1) + most - 1) / most, 1)
    return ((max(extent, 1) + blocks - 1) / blocks + step - 1) / step * step
  }
}
