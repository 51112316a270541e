import ArgumentParser
import MartletBackends
import MartletCore
import MartletPlatform

/// The extents of a product, written MxNxK.
struct ProductShape: ExpressibleByArgument, Hashable {
  var m: Int
  var n: Int
  var k: Int

  init(_ m: Int, _ n: Int, _ k: Int) { (self.m, self.n, self.k) = (m, n, k) }

  init?(argument: String) {
    let extents = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard extents.count == 3, let m = extents[0], let n = extents[1], let k = extents[2],
      [m, n, k].allSatisfy({ (1...1 << 20).contains($0) })
    else { return nil }
    self.init(m, n, k)
  }

  var text: String { "\(m)x\(n)x\(k)" }
  var operations: Double { 2 * Double(m) * Double(n) * Double(k) }
  var weightBytes: Double { 4 * Double(n) * Double(k) }
}

enum ProductSuite: String, ExpressibleByArgument, CaseIterable { case bars }

/// One float32 product to measure, and what it has to reach.
struct ProductCase {
  enum Bar {
    /// Of the lower of two limits: the multiply-add units' and, for weights beyond the caches,
    /// memory's.
    case share(Double)
    /// Times as fast as on one thread.
    case speedUp(Double)
  }

  var shape: ProductShape
  var isPacked: Bool
  var threads: Int
  var bar: Bar?

  /// Weights of this size and more come from memory, each round from another copy.
  static let streamedBytes = 32e6

  static func both(_ shape: ProductShape, threads: Int) -> [ProductCase] {
    [false, true].map { ProductCase(shape: shape, isPacked: $0, threads: threads) }
  }

  /// The bars of one thread and, with `threads` beyond one, those of that many against one.
  static func bars(threads: Int) -> [ProductCase] {
    // AVX2 has half the registers; it is held to 5 points less.
    let lowered = ISASelection.current.name == "avx2" ? 0.05 : 0
    let squares = [256, 512, 1024, 2048].map { ProductShape($0, $0, $0) }
    let layers = [
      ProductShape(128, 768, 768), ProductShape(128, 3072, 768), ProductShape(128, 768, 3072),
      ProductShape(512, 4096, 4096), ProductShape(197, 768, 768), ProductShape(3136, 64, 576),
    ]
    let small = [ProductShape(64, 64, 64), ProductShape(17, 33, 65)]
    let streams = [ProductShape(1, 4096, 4096), ProductShape(8, 4096, 4096)]
    func alone(_ shape: ProductShape, _ isPacked: Bool, _ share: Double?) -> ProductCase {
      ProductCase(
        shape: shape, isPacked: isPacked, threads: 1, bar: share.map { .share($0 - lowered) })
    }
    var cases = squares.flatMap { [alone($0, false, 0.94), alone($0, true, 0.94)] }
    cases += layers.flatMap { [alone($0, false, nil), alone($0, true, 0.92)] }
    cases += [alone(small[0], false, 0.85), alone(small[0], true, 0.85)]
    cases += [alone(small[1], false, nil), alone(small[1], true, nil)]
    for shape in streams {
      cases.append(alone(shape, false, nil))
      cases.append(alone(shape, true, 0.9))
    }
    guard threads > 1 else { return cases }
    for shape in squares + layers + small + streams {
      let isLarge = layers.contains(shape) || (squares.contains(shape) && shape.n >= 512)
      // Never slower than one thread; 3% are the measurement's.
      let factor = isLarge ? 1.85 / 2 * Double(threads) : 0.97
      cases.append(
        ProductCase(shape: shape, isPacked: true, threads: threads, bar: .speedUp(factor)))
    }
    return cases
  }
}

/// Measures products one after another; within a case the product, the limits and, where a speed-up
/// is asked for, one thread run in turn.
struct ProductBench {
  var cases: [ProductCase]
  var rounds: Int

  struct Result {
    var product: ProductCase
    var times: Latencies
    var aloneTimes: Latencies
    var readTimes: Latencies
    /// FLOP/s of the multiply-add units.
    var peak: Double

    var seconds: Double { times.median / 1e3 }
    var rate: Double { product.shape.operations / seconds }
    var readRate: Double? {
      readTimes.sorted.isEmpty ? nil : product.shape.weightBytes / (readTimes.median / 1e3)
    }
    /// The least time that the limits allow.
    var limitSeconds: Double {
      max(product.shape.operations / peak, readRate.map { product.shape.weightBytes / $0 } ?? 0)
    }
    var share: Double { limitSeconds / seconds }
    var isReadLimited: Bool { product.shape.operations / peak < limitSeconds }
    var speedUp: Double? { aloneTimes.sorted.isEmpty ? nil : aloneTimes.median / times.median }
    var isMet: Bool? {
      switch product.bar {
      case .share(let bar): share >= bar
      case .speedUp(let bar): (speedUp ?? 0) >= bar
      case nil: nil
      }
    }
  }

  struct Report {
    var results: [Result]
  }

  func run() throws(MartletError) -> Report {
    let pool = ThreadPool.shared
    let before = pool.threadCount
    defer { try? pool.setThreadCount(before) }
    let line = ProgressLine("measuring")
    var results: [Result] = []
    for (index, product) in cases.enumerated() {
      line.show("\(product.shape.text), \(index + 1) of \(cases.count)")
      results.append(try measure(product, pool))
    }
    return Report(results: results)
  }

  private func measure(_ product: ProductCase, _ pool: ThreadPool) throws(MartletError) -> Result {
    let shape = product.shape
    let isStreamed = shape.weightBytes >= ProductCase.streamedBytes && shape.m <= 16
    let operands = try ProductOperands(shape, copies: isStreamed ? 4 : 1)
    var packed: [PackedMatrix?] = []
    for copy in 0..<operands.copies {
      packed.append(
        product.isPacked
          ? try Backends.pack(operands.rhsView(copy), k: shape.k, n: shape.n, mode: .fp32) : nil)
    }
    var result = Result(
      product: product, times: Latencies(), aloneTimes: Latencies(), readTimes: Latencies(),
      peak: 0)
    // Short products are repeated to about 100 us, which the clock resolves.
    let repeats = max(1, Int(1e7 / max(shape.operations, 1)))
    var copy = 0
    func time(threads: Int) throws(MartletError) -> Int64 {
      try pool.setThreadCount(threads)
      copy = (copy + 1) % operands.copies
      var problem = operands.problem(copy)
      problem.packedRHS = packed[copy]
      let start = mp_now_ns()
      for _ in 0..<repeats { _ = try Backends.run(problem) }
      return (mp_now_ns() - start) / Int64(repeats)
    }
    for round in 0...rounds {
      if round % 5 == 0 {
        try pool.setThreadCount(product.threads)
        result.peak = max(
          result.peak, HardwarePeak.measure(.float32, threads: product.threads) ?? 0)
      }
      let spent = try time(threads: product.threads)
      if round > 0 { result.times.add(spent) }
      if isStreamed {
        try pool.setThreadCount(product.threads)
        copy = (copy + 1) % operands.copies
        let spent = HardwarePeak.timeOfReading(
          packed[copy]?.storage.base ?? operands.rhsView(copy).pointer,
          byteCount: Int(shape.weightBytes), threads: product.threads)
        if round > 0 { result.readTimes.add(spent) }
      }
      if case .speedUp = product.bar {
        let spent = try time(threads: 1)
        if round > 0 { result.aloneTimes.add(spent) }
      }
    }
    return result
  }
}

extension ProductBench.Report {
  var text: String {
    var table = TextTable(
      ["MxNxK", "rhs", "threads", "median us", "GFLOP/s", "GB/s", "limit", "share", "bar", ""],
      numeric: 2..<9)
    for result in results {
      let product = result.product
      let limit =
        result.isReadLimited
        ? "\(((result.readRate ?? 0) / 1e9).fixed(1)) GB/s read"
        : "\((result.peak / 1e9).fixed(1)) GFLOP/s"
      let (value, bar): (String, String) =
        switch product.bar {
        case .speedUp(let bar): ("\((result.speedUp ?? 0).fixed(2))x", "\(bar.fixed(2))x")
        case .share(let bar):
          ("\((result.share * 100).fixed(1))%", "\((bar * 100).fixed(0))%")
        case nil: ("\((result.share * 100).fixed(1))%", "")
        }
      table.add([
        product.shape.text, product.isPacked ? "packed" : "as it is", "\(product.threads)",
        (result.seconds * 1e6).fixed(1), (result.rate / 1e9).fixed(1),
        (product.shape.weightBytes / result.seconds / 1e9).fixed(1), limit, value, bar,
        result.isMet.map { $0 ? "pass" : "fall short" } ?? "",
      ])
    }
    let judged = results.compactMap(\.isMet)
    guard !judged.isEmpty else { return table.text }
    return table.text + "\n\n\(judged.filter { $0 }.count) of \(judged.count) bars reached"
  }

  var document: JSON {
    .object([
      (
        "cases",
        .array(
          results.map { result in
            let product = result.product
            let bar: JSON =
              switch product.bar {
              case .share(let bar), .speedUp(let bar): .number(bar)
              case nil: .null
              }
            return .object([
              ("m", .int(product.shape.m)), ("n", .int(product.shape.n)),
              ("k", .int(product.shape.k)), ("is_packed", .bool(product.isPacked)),
              ("threads", .int(product.threads)), ("median_us", .number(result.seconds * 1e6)),
              ("gflops", .number(result.rate / 1e9)), ("peak_gflops", .number(result.peak / 1e9)),
              (
                "peak_gb_per_s_read", result.readRate.map { .number($0 / 1e9) } ?? .null
              ),
              ("share_of_limit", .number(result.share)),
              ("speed_up", result.speedUp.map { .number($0) } ?? .null), ("bar", bar),
              ("is_met", result.isMet.map { .bool($0) } ?? .null),
            ])
          })
      )
    ])
  }
}

/// The float32 matrices of a product, filled with small numbers; rhs several times over where
/// caches must not keep it.
struct ProductOperands {
  let shape: ProductShape
  let copies: Int
  private let lhs: Tensor
  private let rhs: Tensor
  private let dst: Tensor
  /// rhs lies in memory as [N, K].
  private let isTransposed: Bool

  init(_ shape: ProductShape, copies: Int = 1, isTransposed: Bool = false) throws(MartletError) {
    self.shape = shape
    self.copies = copies
    self.isTransposed = isTransposed
    lhs = try ProductOperands.filled([shape.m, shape.k])
    rhs = try ProductOperands.filled([copies, shape.n, shape.k])
    dst = try Tensor(uninitialized: .float32, [shape.m, shape.n])
  }

  func rhsView(_ copy: Int = 0) -> MatrixView {
    MatrixView(
      rhs.pointer + copy * shape.n * shape.k * 4, .float32,
      rowStride: isTransposed ? 1 : shape.n, columnStride: isTransposed ? shape.k : 1)
  }

  func problem(_ copy: Int = 0, mode: MathMode = .fp32) -> GEMMProblem {
    GEMMProblem(
      m: shape.m, n: shape.n, k: shape.k,
      lhs: MatrixView(lhs.pointer, .float32, rowStride: shape.k), rhs: rhsView(copy),
      dst: MatrixView(dst.pointer, .float32, rowStride: shape.n), mode: mode)
  }

  private static func filled(_ shape: [Int]) throws(MartletError) -> Tensor {
    let tensor = try Tensor(uninitialized: .float32, shape)
    let values = tensor.typed(Float.self)
    for index in 0..<tensor.count { values[index] = Float(index % 251) / 125 - 1 }
    return tensor
  }
}
