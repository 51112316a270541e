import MartletCore
import Testing

@testable import MartletBackends

/// Every instruction set that this machine can run; those without bf16 units once more as if they had
/// them, so that BF16 mode's conversions and panels are tested everywhere.
let testedKernels: [KernelSet] = ISASelection.current.found.flatMap { name in
  let plain = ISASelection.kernels(cappedAt: name)
  let hasBF16 = plain?.noBF16Reason.isEmpty ?? true
  return [plain, hasBF16 ? nil : ISASelection.kernels(cappedAt: name, assumesBF16: true)]
    .compactMap { $0 }
}

@Suite(.serialized) struct NativeBackendTests {
  @Test("random products agree with float64 on every instruction set", arguments: [1, 2])
  func agreesWithReference(round: Int) throws {
    let memory = try GEMMCase.Memory()
    for index in 0..<2000 {
      let seed = UInt64(round) << 32 | UInt64(index)
      for kernels in testedKernels {
        let options = GEMMCase.Options(mode: index % 2 == 0 ? .fp32 : .bf16)
        let example = GEMMCase(seed: seed, memory: memory, options: options)
        if let failure = try example.failure(NativeBackend(kernels: kernels), .shared) {
          Issue.record("\(kernels.name): \(failure)")
          return
        }
      }
    }
  }

  @Test("bits are the same on 1, 2 and 3 threads, packed or not, row by row")
  func bitsAreFixed() throws {
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    for index in 0..<900 {
      let seed = UInt64(3) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = GEMMCase(
          seed: seed, memory: memory, options: GEMMCase.Options(largest: 90, mode: .bf16))
        try pool.setThreadCount(1)
        let alone = try example.bits { _ = try backend.run($0, pool: pool) }
        for threads in [2, 3] {
          try pool.setThreadCount(threads)
          let bits = try example.bits { _ = try backend.run($0, pool: pool) }
          #expect(bits == alone, "seed \(seed), \(kernels.name): \(threads) threads")
        }
        let rows = try example.bits { try runRowByRow($0, backend, pool) }
        #expect(rows == alone, "seed \(seed), \(kernels.name): row by row")
        if example.matrices > 0, example.problem.batch.allSatisfy({ $0.rhsStride == 0 }) {
          let packed = try backend.pack(
            example.problem.rhs, k: example.problem.k, n: example.problem.n, mode: .bf16,
            pool: pool)
          let bits = try example.bits { problem in
            var problem = problem
            problem.packedRHS = packed
            _ = try backend.run(problem, pool: pool)
          }
          #expect(bits == alone, "seed \(seed), \(kernels.name): packed")
        }
        if alone != rows { return }
      }
    }
  }

  @Test(
    "few columns and short sums, dealt to threads by rows, have the bits of each row alone",
    arguments: [(1203, 2, 1030), (2051, 300, 7)])
  func rowsAreDealt(m: Int, n: Int, k: Int) throws {
    var random = RandomSource(seed: 5)
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    var lhs = (0..<m * k).map { _ in random.float() }
    var rhs = (0..<k * n).map { _ in random.float() }
    let bias = (0..<m).map { _ in random.float() }
    func bits(_ backend: NativeBackend, threads: Int, rowByRow: Bool = false) throws -> [UInt32] {
      try pool.setThreadCount(threads)
      var dst = [Float](repeating: .nan, count: m * n)
      try lhs.withUnsafeMutableBytes { lhs in
        try rhs.withUnsafeMutableBytes { rhs in
          try dst.withUnsafeMutableBytes { dst in
            try bias.withUnsafeBufferPointer { bias in
              let (a, b, c) = (
                try #require(lhs.baseAddress), try #require(rhs.baseAddress),
                try #require(dst.baseAddress)
              )
              var problem = GEMMProblem(
                m: m, n: n, k: k, lhs: MatrixView(a, .float32, rowStride: k),
                rhs: MatrixView(b, .float32, rowStride: n),
                dst: MatrixView(c, .float32, rowStride: n), mode: .fp32)
              problem.epilogue.rowBias = bias.baseAddress
              problem.epilogue.activation = .relu
              if rowByRow {
                try runRowByRow(problem, backend, pool)
              } else {
                _ = try backend.run(problem, pool: pool)
              }
            }
          }
        }
      }
      return dst.map(\.bitPattern)
    }
    for kernels in testedKernels {
      let backend = NativeBackend(kernels: kernels)
      let alone = try bits(backend, threads: 1, rowByRow: true)
      for threads in 1...3 {
        #expect(try bits(backend, threads: threads) == alone, "\(kernels.name), \(threads) threads")
      }
    }
  }

  @Test("a function without a kernel is refused behind a product and behind a convolution")
  func functionsWithoutKernels() throws {
    let (backend, pool) = (Backends.native, try ThreadPool(threads: 1))
    var (values, results) = ([Float](repeating: 1, count: 16), [Float](repeating: 0, count: 16))
    let one = SpatialExtents(d: 1, h: 1, w: 1)
    let geometry = ConvolutionGeometry(
      batch: 1, groups: 1, inChannels: 4, outChannels: 4, input: one, kernel: one, output: one)
    try values.withUnsafeMutableBufferPointer { values in
      try results.withUnsafeMutableBufferPointer { results in
        let (a, c) = (try #require(values.baseAddress), try #require(results.baseAddress))
        let view = MatrixView(a, .float32, rowStride: 4)
        var product = GEMMProblem(
          m: 4, n: 4, k: 4, lhs: view, rhs: view, dst: MatrixView(c, .float32, rowStride: 4),
          mode: .fp32)
        var convolution = ConvolutionProblem(geometry, src: a, weights: a, dst: c, mode: .fp32)
        for (function, isRefused) in [(UnaryFunction.tan, true), (.gelu, false)] {
          product.epilogue.activation = function
          convolution.activation = function
          if isRefused {
            #expect(throws: MartletError.self) { try backend.run(product, pool: pool) }
            #expect(throws: MartletError.self) { try backend.convolve(convolution, pool: pool) }
          } else {
            _ = try backend.run(product, pool: pool)
            _ = try backend.convolve(convolution, pool: pool)
          }
        }
      }
    }
  }

  /// Each matrix of the batch and each row of it as a problem of its own.
  private func runRowByRow(
    _ problem: GEMMProblem, _ backend: NativeBackend, _ pool: ThreadPool
  ) throws {
    guard problem.batch.isEmpty else {
      var inner = problem
      let axis = inner.batch.removeFirst()
      for step in 0..<axis.count {
        var single = inner
        single.lhs.pointer += step * axis.lhsStride * problem.lhs.dtype.wholeByteCount
        single.rhs.pointer += step * axis.rhsStride * problem.rhs.dtype.wholeByteCount
        single.dst.pointer += step * axis.dstStride * problem.dst.dtype.wholeByteCount
        single.epilogue.residual?.pointer += step * axis.residualStride * 4
        try runRowByRow(single, backend, pool)
      }
      return
    }
    for i in 0..<problem.m {
      var row = problem
      row.m = 1
      row.lhs.pointer += i * problem.lhs.rowStride * problem.lhs.dtype.wholeByteCount
      row.dst.pointer += i * problem.dst.rowStride * problem.dst.dtype.wholeByteCount
      if let residual = problem.epilogue.residual {
        row.epilogue.residual?.pointer += i * residual.rowStride * 4
      }
      if let bias = problem.epilogue.rowBias { row.epilogue.rowBias = bias + i }
      _ = try backend.run(row, pool: pool)
    }
  }
}
