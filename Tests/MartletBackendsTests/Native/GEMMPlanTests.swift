import MartletCore
import MartletKernels
import Testing

@testable import MartletBackends

@Suite(.serialized) struct GEMMPlanTests {
  /// The kernels of every instruction set that is compiled in, whether or not this processor has them:
  /// plans run nothing.
  private static let everyKernels = everyISA.indices.map { last in
    KernelSet(
      chain: Array(everyISA[...last]), name: String(cString: everyISA[last].pointee.name),
      noBF16Reason: "")
  }

  private nonisolated(unsafe) static let everyISA: [UnsafePointer<mk_isa>] = {
    var count: Int32 = 0
    guard let list = mk_isa_list(&count) else { return [] }
    return (0..<Int(count)).compactMap { list[$0] }
  }()

  private static func plan(
    _ row: GEMMRow, m: Int, n: Int, k: Int, threads: Int = 1, copies: Bool = true,
    packs: Bool = false
  ) -> GEMMPlan {
    GEMMPlan(
      GEMMPlan.Request(
        m: m, n: n, k: k, matrices: 1, threads: threads, copiesLHS: copies, packsRHS: packs,
        isStaged: false), row: row)
  }

  @Test("a large product is cut into the blocks of its row")
  func largeProducts() {
    for row in GEMMPlanTests.everyKernels.flatMap(\.rows) {
      let blocks = row.blocks
      let copying = GEMMPlanTests.plan(row, m: 16 * blocks.mc, n: 1 << 16, k: 16 * blocks.kc)
      #expect(copying.kc == blocks.kc && copying.mc == blocks.mc, "\(row.name)")
      #expect(copying.itemColumns == blocks.copyingColumns, "\(row.name)")
      let reading = GEMMPlanTests.plan(
        row, m: 16 * blocks.mc, n: 1 << 16, k: 16 * blocks.kc, copies: false)
      #expect(reading.kc == blocks.kc && reading.itemColumns == blocks.columns, "\(row.name)")
      let packing = GEMMPlanTests.plan(
        row, m: 16 * blocks.mc, n: 1 << 16, k: 16 * blocks.packingKC, packs: true)
      #expect(packing.kc == blocks.packingKC && packing.mc == blocks.packingMC, "\(row.name)")
      #expect(packing.itemColumns * packing.kc * row.rhsBytes <= 256 << 10, "\(row.name)")
    }
  }

  @Test("rows of an item that copies lhs are not divided below its row's number before columns are")
  func itemRows() {
    for row in GEMMPlanTests.everyKernels.flatMap(\.rows) {
      for threads in [2, 3, 8] {
        let plan = GEMMPlanTests.plan(row, m: 128, n: 768, k: 3072, threads: threads)
        let least = min(128, row.blocks.copyingRows) / 2
        #expect(plan.itemRows >= least || plan.itemColumns == row.nr, "\(row.name), \(threads)")
        #expect(plan.itemRows * plan.itemColumns < 128 * 768, "\(row.name), \(threads)")
      }
    }
    let bf16 = GEMMPlanTests.everyKernels.last { $0.name == "avx512bf16" }
    guard let row = bf16?.row(dst: .float32, lhs: .bfloat16, rhs: .bfloat16) else { return }
    let short = GEMMPlanTests.plan(row, m: 128, n: 128, k: 128, threads: 2)
    #expect(short.itemRows == 66 && short.itemColumns == 64)
    #expect(GEMMPlanTests.plan(row, m: 128, n: 768, k: 3072, threads: 2).itemRows == 66)
  }

  @Test("items of one thread's few microseconds are not divided, however fast its row")
  func shortSections() {
    for row in GEMMPlanTests.everyKernels.flatMap(\.rows) {
      let (m, n, k) = (128, 128, 128)
      let plan = GEMMPlanTests.plan(row, m: m, n: n, k: k, threads: 2)
      #expect(plan.isParallel)
      let items = ((m - 1) / plan.itemRows + 1) * ((n - 1) / plan.itemColumns + 1)
      #expect(items >= 2 && items <= 12)
      // 1.5 us each, at least, but for what rows and columns do not divide.
      #expect(Double(m * n * k) / Double(items * row.rate) >= 1500, "\(row.name): \(items)")
      #expect(GEMMPlanTests.plan(row, m: 64, n: 64, k: 63, threads: 2).isParallel == false)
    }
  }

  @Test("timing can reach every block of every row", arguments: [DType.float32, .bfloat16])
  func candidates(type: DType) throws {
    let (m, n, k) = (4032, 8192, 8192)  // blocks of rows divide it
    let operand = try Storage(byteCount: 64)
    for kernels in GEMMPlanTests.everyKernels {
      guard let row = kernels.row(dst: .float32, lhs: type, rhs: type) else { continue }
      for isInPlace in [true, false] {
        let lhs = MatrixView(operand.base, .float32, rowStride: isInPlace ? k + 16 : 1)
        var problem = GEMMProblem(
          m: m, n: n, k: k, lhs: lhs, rhs: MatrixView(operand.base, .float32, rowStride: n),
          dst: MatrixView(operand.base, .float32, rowStride: n),
          mode: type == .bfloat16 ? .bf16 : .fp32)
        if !isInPlace { problem.lhs.columnStride = m }
        problem.packedRHS = PackedMatrix(
          k: k, n: n, matrices: 1, dtype: type, layout: row.layout,
          panelStride: row.panelBytes(k), matrixStride: 0, storage: operand)
        let tuner = try GEMMTuner(problem, pool: .shared, kernels: kernels)
        let choices = tuner.candidates
        #expect(Set(choices).count == choices.count)
        func expect(_ name: String, _ values: [Int], in key: KeyPath<GEMMChoice, Int>) {
          let reached = Set(choices.map { $0[keyPath: key] })
          #expect(reached.isSuperset(of: values), "\(kernels.name) \(row.name), \(name)")
        }
        let blocks = row.blocks
        let columns =
          type == .bfloat16 || !isInPlace ? blocks.copyingColumns : blocks.columns
        expect("kc", [blocks.kc / 2, blocks.kc, blocks.kc * 2, 512, 1024, 2048], in: \.kc)
        expect("mc", [blocks.mc / 2, blocks.mc], in: \.mc)
        expect("columns", [columns / 2, columns, columns * 2, 512, 1024, 4096], in: \.columns)
        expect("tileRows", [row.mr, row.mr - 1], in: \.tileRows)
        #expect(Set(choices.map(\.rows)).count >= 3)
      }
    }
  }

  @Test("the blocks of every row give the bits of one another", arguments: [1, 2])
  func blocksKeepBits(threads: Int) throws {
    let (m, n, k) = (307, 530, 4101)
    let pool = ThreadPool.shared
    try pool.setThreadCount(threads)
    defer { try? pool.setThreadCount(0) }
    var random = RandomSource(seed: 91)
    let lhs = try Storage(byteCount: m * k * 4)
    let rhs = try Storage(byteCount: k * n * 4)
    for (storage, count) in [(lhs, m * k), (rhs, k * n)] {
      let values = storage.base.assumingMemoryBound(to: Float.self)
      for index in 0..<count { values[index] = random.float() }
    }
    let features = mk_cpu_features()
    let runnable = GEMMPlanTests.everyISA.prefix { $0.pointee.needs & ~features == 0 }
    let cuts = GEMMPlanTests.everyISA.flatMap { isa in
      (0..<Int(isa.pointee.gemm_row_count)).map { isa.pointee.gemm_rows[$0].blocks }
    }
    for mode in [MathMode.fp32, .bf16] {
      for isTurned in [false, true] {
        var expected: [UInt32]?
        for blocks in cuts {
          let backend = NativeBackend(kernels: kernels(runnable, blocks))
          let dst = try Storage(byteCount: m * n * 4)
          var problem = GEMMProblem(
            m: m, n: n, k: k,
            lhs: isTurned
              ? MatrixView(lhs.base, .float32, rowStride: 1, columnStride: m)
              : MatrixView(lhs.base, .float32, rowStride: k),
            rhs: MatrixView(rhs.base, .float32, rowStride: n),
            dst: MatrixView(dst.base, .float32, rowStride: n), mode: mode)
          problem.packedRHS = try backend.pack(problem.rhs, k: k, n: n, mode: mode, pool: pool)
          problem.epilogue.activation = .gelu
          _ = try backend.run(problem, pool: pool)
          let values = dst.base.assumingMemoryBound(to: UInt32.self)
          let bits = Array(UnsafeBufferPointer(start: values, count: m * n))
          #expect(bits == expected ?? bits, "\(mode): \(blocks)")
          expected = bits
        }
      }
    }
  }
}

/// The kernels of the list `isas`, their products cut by `blocks`.
private func kernels(
  _ isas: ArraySlice<UnsafePointer<mk_isa>>, _ blocks: mk_gemm_blocks
) -> KernelSet {
  let altered = isas.map { isa in
    let rows = UnsafeMutableBufferPointer<mk_gemm_row>.allocate(
      capacity: Int(isa.pointee.gemm_row_count))
    for index in rows.indices {
      rows.initializeElement(at: index, to: isa.pointee.gemm_rows[index])
      rows[index].blocks = blocks
    }
    let copy = UnsafeMutablePointer<mk_isa>.allocate(capacity: 1)
    copy.initialize(to: isa.pointee)
    copy.pointee.gemm_rows = UnsafePointer(rows.baseAddress)
    return UnsafePointer(copy)  // rows refer to it as long as the process lives
  }
  return KernelSet(chain: altered, name: "altered", noBF16Reason: "")
}
