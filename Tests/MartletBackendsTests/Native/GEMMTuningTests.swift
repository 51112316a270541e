import Glibc
import MartletCore
import Testing

@testable import MartletBackends

@Suite(.serialized) struct GEMMTuningTests {
  @Test("no choice of route, blocks or tile changes a bit", arguments: [1, 2])
  func choicesKeepBits(threads: Int) throws {
    let memory = try GEMMCase.Memory()
    let pool = ThreadPool.shared
    try pool.setThreadCount(threads)
    defer { try? pool.setThreadCount(0) }
    var random = RandomSource(seed: UInt64(threads) << 40)
    var tried = Set<GEMMChoice.Route>()
    for index in 0..<500 {
      let seed = UInt64(17 + threads) << 32 | UInt64(index)
      for kernels in testedKernels {
        let example = GEMMCase(
          seed: seed, memory: memory,
          options: GEMMCase.Options(largest: 70, mode: index % 2 == 0 ? .fp32 : .bf16))
        let expected = try example.bits {
          _ = try NativeBackend(kernels: kernels).run($0, pool: pool)
        }
        for route in GEMMChoice.Route.allCases {
          let choice = GEMMChoice(
            route: route, kc: random.int(1...80), mc: random.int(1...40),
            rows: random.int(1...80), columns: random.int(1...80), tileRows: random.int(1...16))
          let backend = NativeBackend(kernels: kernels, forcing: choice)
          let isPackedRoute = route == .stream || route == .tiles
          let packs =
            isPackedRoute && example.matrices > 0
            && example.problem.batch.allSatisfy { $0.rhsStride == 0 }
          let bits = try example.bits { problem in
            var problem = problem
            if packs {
              problem.packedRHS = try backend.pack(
                problem.rhs, k: problem.k, n: problem.n, mode: problem.mode, pool: pool)
            }
            let product = try FloatProduct(problem, kernels: kernels)
            if product.routes(threads: threads).contains(route) { tried.insert(route) }
            _ = try backend.run(problem, pool: pool)
          }
          #expect(bits == expected, "seed \(seed), \(kernels.name): \(choice)")
          if bits != expected { return }
        }
      }
    }
    #expect(tried.count == GEMMChoice.Route.allCases.count)
  }

  @Test("a batch of packed matrices gives the bits of each alone")
  func packedBatch() throws {
    let (count, m, n, k) = (5, 7, 33, 19)
    let lhs = (0..<count * m * k).map { Float($0 % 23) / 8 - 1 }
    let rhs = (0..<count * n * k).map { Float($0 % 29) / 8 - 1 }
    for kernels in testedKernels {
      let backend = NativeBackend(kernels: kernels)
      func product(packs: Bool) throws -> [UInt32] {
        var dst = [Float](repeating: .nan, count: count * m * n)
        var (lhs, rhs) = (lhs, rhs)
        try lhs.withUnsafeMutableBytes { a in
          try rhs.withUnsafeMutableBytes { b in
            try dst.withUnsafeMutableBytes { c in
              guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else {
                return
              }
              // Each matrix of rhs is stored transposed.
              let view = MatrixView(b, .float32, rowStride: 1, columnStride: k)
              var problem = GEMMProblem(
                m: m, n: n, k: k, lhs: MatrixView(a, .float32, rowStride: k), rhs: view,
                dst: MatrixView(c, .float32, rowStride: n), mode: .fp32)
              problem.batch = [
                BatchAxis(
                  count: count, lhsStride: m * k, rhsStride: packs ? 1 : n * k, dstStride: m * n)
              ]
              if packs {
                problem.packedRHS = try backend.pack(
                  view, k: k, n: n, matrixStrides: [(count, n * k)], mode: .fp32, pool: .shared)
              }
              _ = try backend.run(problem, pool: .shared)
              problem.batch[0].rhsStride = 2
              if packs {
                #expect(throws: MartletError.self) { try backend.run(problem, pool: .shared) }
              }
            }
          }
        }
        return dst.map(\.bitPattern)
      }
      #expect(try product(packs: true) == product(packs: false))
    }
  }

  private static let shape = GEMMShape(
    m: 1, n: 4096, k: 4096, threads: 2, type: .float32, lhs: .rows, rhs: .packed)
  private static let choice = GEMMChoice(
    route: .stream, kc: 4096, mc: 1, rows: 1, columns: 512, tileRows: 6)

  @Test("a table comes back from its file as it was, and is used")
  func roundTrip() throws {
    var table = GEMMTuning()
    table.set(GEMMTuningTests.choice, for: GEMMTuningTests.shape, isa: "avx2")
    let path = "/tmp/martlet-tuning-\(getpid()).txt"
    defer { unlink(path) }
    try table.save(path: path)
    let loaded = try GEMMTuning(path: path)
    #expect(loaded.choices == table.choices)
    #expect(loaded.text == table.text)
    let before = GEMMTuning.current
    defer { GEMMTuning.current = before }
    try GEMMTuning.load(path: path)
    #expect(
      GEMMTuning.choice(for: GEMMTuningTests.shape, isa: "avx2") == GEMMTuningTests.choice)
    #expect(GEMMTuning.choice(for: GEMMTuningTests.shape, isa: "avx512") == nil)
  }

  private static let line =
    "gemm isa=avx2 processor=\"A \\ B\" type=f32 m=1 n=2 k=3 matrices=1 threads=1 lhs=rows "
    + "rhs=packed route=tiles kc=1 mc=1 rows=1 columns=16 tile=6"

  static let malformed: [(String, Int)] = [
    ("", 1), ("martlet-tuning 2\n", 1), ("# first\nnonsense\n", 2),
    ("martlet-tuning 1\n\(line)\ngem isa=avx2\n", 3),
    ("martlet-tuning 1\n\(line) m=2\n", 2), ("martlet-tuning 1\n\(line) colour=2\n", 2),
    ("martlet-tuning 1\n#\n\(line.dropLast())x\n", 3), ("martlet-tuning 1\ngemm isa=avx2\n", 2),
    ("martlet-tuning 1\ngemm processor=\"open\n", 2),
    ("martlet-tuning 1\ngemm isa=avx2 m=99999999999999999999\n", 2),
    ("martlet-tuning 1\ngemm m=0\n", 2), ("martlet-tuning 1\ngemm =\n", 2),
  ]

  @Test("a malformed file is refused with its line", arguments: malformed)
  func refuses(text: String, line: Int) throws {
    let error = #expect(throws: MartletError.self) { try GEMMTuning(text: text) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("line \(line):") == true, "\(String(describing: error))")
  }

  @Test("any bytes are a table or an error")
  func anyBytes() {
    var random = RandomSource(seed: 5)
    let valid = Array("martlet-tuning 1\n\(GEMMTuningTests.line)\n".utf8)
    for _ in 0..<2000 {
      var bytes = valid
      for _ in 0..<random.int(1...4) {
        bytes[random.int(0...bytes.count - 1)] = UInt8(random.int(0...255))
      }
      bytes.removeLast(random.int(0...10))
      _ = try? GEMMTuning(text: String(decoding: bytes, as: UTF8.self))
    }
  }

  @Test("a file that is not there is not found")
  func missing() {
    let error = #expect(throws: MartletError.self) {
      try GEMMTuning(path: "/nonexistent/martlet.tuning")
    }
    #expect(error?.code == .notFound)
  }

  @Test("a directory or device is no table, and what a file says is quoted fit for a terminal")
  func unfit() {
    let directory = #expect(throws: MartletError.self) { try GEMMTuning(path: "/") }
    #expect(directory?.code == .io)
    let endless = #expect(throws: MartletError.self) { try GEMMTuning(path: "/dev/zero") }
    #expect(endless?.code == .io)
    #expect(endless?.message.contains("not a regular file") == true)
    let binary = String(
      decoding: [27, 91, 50, 74] + [UInt8](repeating: 65, count: 5000), as: UTF8.self)
    let error = #expect(throws: MartletError.self) { try GEMMTuning(text: binary) }
    #expect(error?.actual == "'?[2J\(String(repeating: "A", count: 36))'")
  }

  @Test("timing ranks every candidate and keeps the cost model's where it is as good")
  func tuner() throws {
    var a = [Float](repeating: 1, count: 40 * 40)
    var c = a
    try a.withUnsafeMutableBytes { a in
      try c.withUnsafeMutableBytes { c in
        guard let a = a.baseAddress, let c = c.baseAddress else { return }
        let view = MatrixView(a, .float32, rowStride: 40)
        let tuner = try GEMMTuner(
          GEMMProblem(
            m: 40, n: 40, k: 40, lhs: view, rhs: view,
            dst: MatrixView(c, .float32, rowStride: 40), mode: .fp32))
        let timings = try tuner.measure()
        #expect(timings.count == tuner.candidates.count)
        #expect(timings.filter(\.isPlanned).count == 1)
        #expect(Set(timings.map(\.choice)).count == timings.count)
        let winner = try #require(GEMMTuner.winner(timings))
        #expect(timings.contains { $0.choice == winner.choice })
      }
    }
  }
}
