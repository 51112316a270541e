import MartletCore
import Testing

@testable import MartletBackends

@Suite(.serialized) struct SmallProductTests {
  /// The processor's kernels and those of AVX-512 BF16.
  private static let kernels = testedKernels + [wideKernels].compactMap { $0 }

  @Test("products of few columns or short sums that threads share have one thread's bits")
  func threadsShare() throws {
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    // m, n, k: as long as lhs, dst and the sums take, in turn.
    for (m, n, k) in [(2048, 64, 3), (256, 2, 1024), (6, 64, 16384), (64, 64, 64), (4096, 7, 5)] {
      var random = RandomSource(seed: UInt64(m * n + k))
      let a = memory.lhs.elements(m * k, filledWith: Float.nan)
      for index in 0..<m * k { a[index] = random.float() }
      let b = memory.rhs.elements(k * n, filledWith: Float.nan)
      for index in 0..<k * n { b[index] = random.float() }
      let c = memory.dst.elements(m * n, filledWith: Float.nan)
      for kernels in SmallProductTests.kernels {
        let backend = NativeBackend(kernels: kernels)
        for mode in [MathMode.fp32, .bf16] {
          let rhs = MatrixView(b, .float32, rowStride: n)
          var problem = GEMMProblem(
            m: m, n: n, k: k, lhs: MatrixView(a, .float32, rowStride: k), rhs: rhs,
            dst: MatrixView(c, .float32, rowStride: n), mode: mode)
          for isPacked in [false, true] {
            problem.packedRHS =
              isPacked ? try backend.pack(rhs, k: k, n: n, mode: mode, pool: pool) : nil
            var alone: [UInt32] = []
            for threads in [1, 2, 3] {
              try pool.setThreadCount(threads)
              // The second run finds workers awake, which short sections wait for.
              for _ in 0..<2 {
                c.update(repeating: .nan, count: m * n)
                _ = try backend.run(problem, pool: pool)
              }
              let bits = (0..<m * n).map { c[$0].bitPattern }
              if threads == 1 { alone = bits }
              #expect(
                bits == alone, "\(kernels.name), \(mode), \(m)x\(n)x\(k), \(threads) threads")
            }
          }
        }
      }
    }
  }
}
