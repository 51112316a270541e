import Glibc
import MartletCore
import MartletKernels
import Testing

@testable import MartletBackends

@Suite(.serialized) struct CacheSetsTests {
  /// Whether a set of `cache` is asked for more lines than it holds by `rows` rows, `stride` bytes
  /// apart, whatever place in its line the first one has.
  private static func overflows(
    _ cache: CacheSets, rows: Int, stride: Int, width: Int = 0
  ) -> Bool {
    (0..<16).contains { place in
      var lines: [Int: Int] = [:]
      for row in 0..<rows {
        // All lines from the one that the row begins in.
        let first = place * 4 + row * stride
        for line in first >> 6...(first + width) >> 6 {
          lines[line & (cache.period / 64 - 1), default: 0] += 1
        }
      }
      return lines.values.contains { $0 > cache.ways }
    }
  }

  @Test(
    "rows are the most of which the cache keeps a line each",
    arguments: [(4, 16 << 10), (8, 32 << 10), (12, 48 << 10), (8, 128 << 10)])
  func mostRows(ways: Int, byteCount: Int) {
    let cache = CacheSets(ways: ways, byteCount: byteCount)
    #expect(cache.ways == ways && cache.period == byteCount / ways)
    let near = [256, 512, 1024, 2048, 4096, 8192, 12288, 16384, 24576].flatMap { stride in
      [-68, -64, -60, -16, -12, -8, -4, 0, 4, 8, 12, 16, 60, 64, 68].map { stride + $0 }
    }
    for stride in [0, 4, 16, 60, 64, 68, 128, 3072, 4000] + near {
      for signed in [stride, -stride] {
        for rows in [1, 6, 8, 12, 14, 16, 32] {
          var expected = rows
          while CacheSetsTests.overflows(cache, rows: expected, stride: signed) { expected -= 1 }
          #expect(
            cache.rows(atMost: rows, stride: signed) == expected,
            "\(rows) rows \(signed) bytes apart")
          // Wider rows: none too many, and no fewer than the cache is sure to hold.
          for width in [64, 128] {
            let wide = cache.rows(atMost: rows, stride: signed, width: width)
            #expect(wide >= min(rows, ways) && wide <= expected)
            #expect(
              wide <= ways
                || !CacheSetsTests.overflows(cache, rows: wide, stride: signed, width: width),
              "\(wide) rows of \(width) bytes, \(signed) apart")
          }
        }
      }
    }
  }

  @Test("a cache that is not described has eight ways of 4 KiB", arguments: [(0, 0), (8, 30_000)])
  func unknown(ways: Int, byteCount: Int) {
    let cache = CacheSets(ways: ways, byteCount: byteCount)
    #expect(cache.ways == 8 && cache.period == 4096)
    #expect(cache.rows(atMost: 14, stride: 4096) == 8)
    #expect(cache.rows(atMost: 14, stride: 2048) == 14)
    #expect(cache.rows(atMost: 14, stride: 4100) == 8)
    #expect(cache.rows(atMost: 14, stride: 4160) == 14)
  }

  /// Rows of the largest tile that the recording row below was called with, and whether `small` was
  /// told how many rows L1 holds.
  private nonisolated(unsafe) static var tallest = 0
  private nonisolated(unsafe) static var told: Int?

  /// A row of 14x32 with tall tiles of 20, which computes nothing.
  private nonisolated(unsafe) static let recorder: mk_gemm_row = {
    var row = mk_gemm_row()
    row.name = UnsafePointer(strdup("gemm_f32_f32_f32_14x32"))
    (row.dst, row.lhs, row.rhs) = (Int32(MK_F32), Int32(MK_F32), Int32(MK_F32))
    (row.mr, row.nr, row.kr) = (14, 32, 1)
    (row.blocks.kc, row.blocks.mc, row.blocks.columns) = (512, 168, 256)
    (row.vector, row.tall_mr) = (16, 20)
    row.tile = { CacheSetsTests.tallest = max(CacheSetsTests.tallest, Int($0?.pointee.m ?? 0)) }
    row.small = { CacheSetsTests.told = Int($0?.pointee.l1_rows ?? -1) }
    row.pack_rhs_f32 = { _ in }
    row.pack_rhs_same = { _ in }
    row.pack_conv = { _ in }
    return row
  }()

  @Test(
    "no tile takes more rows than L1 holds lines of",
    arguments: [(1024, 512), (1024, 16), (1025, 512), (768, 512), (768, 16)])
  func tiles(k: Int, n: Int) throws {
    let m = 280
    var count: Int32 = 0
    var isa = try #require(mk_isa_list(&count)?[0]).pointee
    isa.gemm_row_count = 1
    let lhs = try Storage(byteCount: m * k * 4)
    let dst = try Storage(byteCount: m * n * 4)
    let panels = try Storage(byteCount: (n + 31) / 32 * 32 * k * 4)
    try withUnsafePointer(to: CacheSetsTests.recorder) { rows in
      isa.gemm_rows = rows
      try withUnsafePointer(to: isa) { isa in
        let kernels = KernelSet(chain: [isa], name: "recorder", noBF16Reason: "")
        let row = try #require(kernels.float32)
        var problem = GEMMProblem(
          m: m, n: n, k: k, lhs: MatrixView(lhs.base, .float32, rowStride: k),
          rhs: MatrixView(panels.base, .float32, rowStride: n),
          dst: MatrixView(dst.base, .float32, rowStride: n), mode: .fp32)
        problem.packedRHS = PackedMatrix(
          k: k, n: n, matrices: 1, dtype: .float32, layout: row.layout,
          panelStride: row.panelBytes(k), matrixStride: panels.byteCount, storage: panels)
        CacheSetsTests.tallest = 0
        let product = try FloatProduct(problem, kernels: kernels)
        _ = try product.run(on: .shared)
        let held = CacheSets.level1.rows(atMost: 20, stride: k * 4)
        let isTall = n <= 16 && held >= 20
        let most = isTall ? 20 : min(14, held)
        // Rows are dealt evenly, by as many threads as there are: less than half of `most` is left over.
        #expect(CacheSetsTests.tallest <= most && CacheSetsTests.tallest > most / 2)
        #expect(product.plannedChoice(threads: 1).tileRows == min(14, held))

        problem.m = 30  // a small product
        problem.n = 8
        problem.packedRHS = nil
        problem.rhs.rowStride = 8
        problem.k = 1000
        for stride in [k, 1000] {
          problem.lhs.rowStride = stride
          CacheSetsTests.told = nil
          _ = try NativeBackend(kernels: kernels).run(problem, pool: .shared)
          let held = CacheSets.level1.rows(atMost: 20, stride: stride * 4)
          #expect(CacheSetsTests.told == (held < 20 ? held : 0))
        }
      }
    }
  }
}
