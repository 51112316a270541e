import MartletCore
import MartletKernels
import Synchronization
import Testing

@testable import MartletBackends

@Suite(.serialized) struct KernelSetTests {
  /// The set of kernels as it was, and its chain of instruction sets.
  private func chain(upTo name: String) -> [UnsafePointer<mk_isa>] {
    let machine = Machine.shared
    guard let limit = machine.names.firstIndex(of: name) else { return [] }
    return machine.compiledIn[...limit].indices.filter { machine.refusals[$0] == nil }
      .map { machine.compiledIn[$0] }
  }

  @Test("all rows are kept, and the most capable instruction set's are preferred")
  func keepsAllRows() throws {
    for name in ISASelection.current.found {
      let kernels = try #require(ISASelection.kernels(cappedAt: name))
      let chain = chain(upTo: name)
      #expect(kernels.rows.count == chain.reduce(0) { $0 + Int($1.pointee.gemm_row_count) })
      #expect(kernels.integers.count == chain.filter { $0.pointee.int8_row != nil }.count)
      for row in kernels.rows {
        let preferred = kernels.row(dst: row.dst, lhs: row.lhs, rhs: row.rhs)
        let last = chain.last { isa in
          (0..<Int(isa.pointee.gemm_row_count)).contains {
            GEMMRow(isa.pointee.gemm_rows[$0], isa: "")?.multiplies(as: row) == true
          }
        }
        #expect(preferred?.isa == last.map { String(cString: $0.pointee.name) })
      }
      #expect(kernels.integerRow() === kernels.integers.first)
    }
  }

  private struct Product {
    let lhs: Storage
    let rhs: Storage
    let dst: Storage
    let m = 31
    let n = 45
    let k = 70

    init() throws {
      lhs = try Storage(byteCount: 31 * 70 * 4)
      rhs = try Storage(byteCount: 70 * 45 * 4)
      dst = try Storage(byteCount: 31 * 45 * 4)
      var random = RandomSource(seed: 3)
      for index in 0..<m * k {
        lhs.base.assumingMemoryBound(to: Float.self)[index] = random.float()
      }
      for index in 0..<k * n {
        rhs.base.assumingMemoryBound(to: Float.self)[index] = random.float()
      }
    }

    func problem() -> GEMMProblem {
      GEMMProblem(
        m: m, n: n, k: k, lhs: MatrixView(lhs.base, .float32, rowStride: k),
        rhs: MatrixView(rhs.base, .float32, rowStride: n),
        dst: MatrixView(dst.base, .float32, rowStride: n), mode: .fp32)
    }

    func bits() -> [UInt32] {
      let values = dst.base.assumingMemoryBound(to: UInt32.self)
      return (0..<m * n).map { values[$0] }
    }
  }

  @Test("a matrix packed for a row of the same arithmetic runs on that row, with the same bits")
  func otherLayouts() throws {
    guard let wide = wideKernels, let narrow = ISASelection.kernels(cappedAt: "avx2"),
      let generic = ISASelection.kernels(cappedAt: "generic")
    else { return }
    let product = try Product()
    var problem = product.problem()
    _ = try NativeBackend(kernels: wide).run(problem, pool: .shared)
    let expected = product.bits()
    func pack(_ kernels: KernelSet) throws -> PackedMatrix {
      try NativeBackend(kernels: kernels).pack(
        problem.rhs, k: product.k, n: product.n, mode: .fp32, pool: .shared)
    }
    problem.packedRHS = try pack(narrow)
    let execution = try NativeBackend(kernels: wide).run(problem, pool: .shared)
    #expect(execution.kernel == narrow.float32?.name && execution.kernel != wide.float32?.name)
    #expect(product.bits() == expected)
    problem.packedRHS = try pack(generic)
    let error = #expect(throws: MartletError.self) {
      try NativeBackend(kernels: wide).run(problem, pool: .shared)
    }
    #expect(error?.code == .invalidState && error?.actual == "float32 1x8")
  }

  @Test("integers packed for any row run on that row, and nowhere else")
  func otherIntegerLayouts() throws {
    let generic = try #require(ISASelection.kernels(cappedAt: "generic"))
    let a = try Tensor(uninitialized: .int8, [9, 20])
    let b = try Tensor(uninitialized: .uint8, [20, 33])
    let c = try Tensor(uninitialized: .int32, [9, 33])
    for index in 0..<a.count { a.typed(Int8.self)[index] = Int8(truncatingIfNeeded: index * 37) }
    for index in 0..<b.count { b.typed(UInt8.self)[index] = UInt8(truncatingIfNeeded: index * 91) }
    let problem = IntegerProblem(
      m: 9, n: 33, k: 20, lhs: MatrixView(a.pointer, .int8, rowStride: 20),
      rhs: MatrixView(b.pointer, .uint8, rowStride: 33),
      dst: MatrixView(c.pointer, .int32, rowStride: 33))
    let expected = ReferenceBackend().sums(problem)
    for kernels in testedKernels {
      for owner in testedKernels {
        let packed = try NativeBackend(kernels: owner).packIntegers(
          problem.rhs, k: 20, n: 33, pool: .shared)
        var problem = problem
        problem.packedRHS = packed
        c.typed(Int32.self).update(repeating: 0, count: c.count)
        guard kernels.integers.contains(where: { $0.layout == packed.layout }) else {
          let error = #expect(throws: MartletError.self) {
            try NativeBackend(kernels: kernels).multiply([problem], pool: .shared)
          }
          #expect(error?.code == .invalidState)
          continue
        }
        let execution = try NativeBackend(kernels: kernels).multiply([problem], pool: .shared)
        #expect(execution.kernel == kernels.integerRow(reading: packed)?.name)
        #expect(expected.indices.allSatisfy { c.typed(Int32.self)[$0] == expected[$0] })
      }
    }
    #expect(generic.integers.count == 1)
  }

  private static let begun = Atomic<Int>(0)
  private static let ended = Atomic<Int>(0)
  private static let outside = Atomic<Int>(0)

  /// Counts a call of a tile that no hooks enclose.
  private static func countOutside() {
    if begun.load(ordering: .relaxed) <= ended.load(ordering: .relaxed) {
      outside.add(1, ordering: .relaxed)
    }
  }

  /// Counts of tiles that a row's hooks do not enclose, over products, attention and a convolution.
  @Test("a row's hooks enclose all of its tiles")
  func hooks() throws {
    var count: Int32 = 0
    var isa = try #require(mk_isa_list(&count)?[0]).pointee
    var row = isa.gemm_rows[0]
    row.begin = { KernelSetTests.begun.add(1, ordering: .relaxed) }
    row.end = { KernelSetTests.ended.add(1, ordering: .relaxed) }
    (row.small, row.columns, row.lines, row.stream) = (nil, nil, nil, nil)
    (row.conv, row.conv_dot, row.vector) = (nil, nil, 0)
    row.tile = { tile in
      KernelSetTests.countOutside()
      var count: Int32 = 0
      mk_isa_list(&count)?[0]?.pointee.gemm_rows[0].tile(tile)
    }
    isa.gemm_row_count = 1
    let integers = UnsafeMutablePointer<mk_int8_row>.allocate(capacity: 1)
    defer { integers.deallocate() }
    integers.initialize(to: try #require(isa.int8_row).pointee)
    (integers.pointee.begin, integers.pointee.end) = (row.begin, row.end)
    (integers.pointee.widen, integers.pointee.wide_tile) = (nil, nil)
    integers.pointee.tile = { tile in
      KernelSetTests.countOutside()
      var count: Int32 = 0
      mk_isa_list(&count)?[0]?.pointee.int8_row.pointee.tile(tile)
    }
    isa.int8_row = UnsafePointer(integers)
    try withUnsafePointer(to: row) { rows in
      isa.gemm_rows = rows
      try withUnsafePointer(to: isa) { isa in
        let backend = NativeBackend(
          kernels: KernelSet(chain: [isa], name: "hooked", noBF16Reason: "no units"))
        let product = try Product()
        let values = product.lhs.base.assumingMemoryBound(to: Float.self)
        let result = product.dst.base.assumingMemoryBound(to: Float.self)
        let extents = SpatialExtents(d: 1, h: 6, w: 6)
        let convolution = ConvolutionProblem(
          ConvolutionGeometry(
            batch: 1, groups: 1, inChannels: 8, outChannels: 16, input: extents,
            kernel: SpatialExtents(d: 1, h: 1, w: 1), output: extents),
          src: values,
          weights: values, dst: result, mode: .fp32)
        let bytes = IntegerProblem(
          m: 31, n: 45, k: 70, lhs: MatrixView(product.lhs.base, .int8, rowStride: 70),
          rhs: MatrixView(product.rhs.base, .int8, rowStride: 45),
          dst: MatrixView(product.dst.base, .int32, rowStride: 45))
        func heads(_ pointer: UnsafeMutablePointer<Float>) -> HeadsView {
          HeadsView(pointer, batchStride: 0, headStride: 0, rowStride: 16)
        }
        let attention = AttentionProblem(
          batch: 1, queryHeads: 1, keyHeads: 1, queries: 40, keys: 40, width: 16, valueWidth: 16,
          query: heads(values), key: heads(values), value: heads(values), dst: heads(result),
          scale: 1, mode: .fp32)
        let work: [() throws -> Execution] = [
          { try backend.run(product.problem(), pool: .shared) },
          { try backend.convolve(convolution, pool: .shared) },
          { try backend.attend(attention, pool: .shared) },
          { try backend.multiply([bytes], pool: .shared) },
        ]
        for run in work {
          let before = KernelSetTests.begun.load(ordering: .relaxed)
          _ = try run()
          let begun = KernelSetTests.begun.load(ordering: .relaxed)
          #expect(begun > before && begun == KernelSetTests.ended.load(ordering: .relaxed))
        }
        #expect(KernelSetTests.outside.load(ordering: .relaxed) == 0)
      }
    }
  }
}
