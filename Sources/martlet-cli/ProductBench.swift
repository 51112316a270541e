import MartletBackends
import MartletCore
import MartletPlatform

/// Measures products in rounds, in each of which all cases run in turn, those of a shape beside what
/// limits them: the multiply-add units on registers alone and reading the weights. Shares and
/// speed-ups are medians of the rounds' own, so that drift of the machine's speed meets both sides
/// alike, and what disturbs it for seconds meets no case's rounds alone.
struct ProductBench {
  var cases: [ProductCase]
  var rounds: Int

  struct Result {
    struct Round {
      var seconds: Double
      /// Operations per second of the units.
      var peak: Double
      /// Of reading the weights; 0 where caches may hold them.
      var readSeconds: Double
      /// Of the same product on one thread, where that was measured too.
      var aloneSeconds: Double?
    }

    let product: ProductCase
    var rounds: [Round] = []
    var execution: Execution?

    private func median(_ value: (Round) -> Double) -> Double {
      let sorted = rounds.map(value).sorted()
      return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
    }

    var seconds: Double { median(\.seconds) }
    var rate: Double { product.shape.operations / seconds }
    var peak: Double { median(\.peak) }
    var readRate: Double? {
      product.isStreamed ? product.weightBytes / median(\.readSeconds) : nil
    }
    /// The least time that the limits allow, over the time it took.
    var share: Double {
      median { max(product.shape.operations / $0.peak, $0.readSeconds) / $0.seconds }
    }
    var isReadLimited: Bool {
      median { $0.readSeconds - product.shape.operations / $0.peak } > 0
    }
    var speedUp: Double? {
      rounds.contains { $0.aloneSeconds == nil }
        ? nil : median { ($0.aloneSeconds ?? .nan) / $0.seconds }
    }
    var isMet: Bool? {
      switch product.bar {
      case .share(let bar): share >= bar
      case .speedUp(let bar): (speedUp ?? 0) >= bar
      case nil: nil
      }
    }
  }

  func run() throws(MartletError) -> ProductReport {
    let pool = ThreadPool.shared
    let before = pool.threadCount
    defer { try? pool.setThreadCount(before) }
    let line = ProgressLine("measuring")
    var shapes: [ProductShape] = []
    for product in cases where !shapes.contains(product.shape) { shapes.append(product.shape) }
    var turns: [ShapeTurns] = []
    for shape in shapes {
      line.show("preparing \(shape.text)")
      turns.append(try ShapeTurns(cases.filter { $0.shape == shape }))
    }
    for round in 0...rounds {
      for index in turns.indices {
        line.show("round \(round) of \(rounds), \(shapes[index].text)")
        try turns[index].run(round: round, pool)
      }
    }
    return ProductReport(results: turns.flatMap(\.results))
  }
}

/// The cases of one shape, which run in turn.
private struct ShapeTurns {
  private(set) var results: [ProductBench.Result]
  private var operands: [ProductKind: ProductOperands] = [:]
  private var packed: [String: PackedProducts] = [:]

  /// One limit that is measured once a round.
  private struct Unit: Hashable {
    let unit: HardwarePeak.Unit
    let threads: Int
  }

  init(_ cases: [ProductCase]) throws(MartletError) {
    // One thread before more, which are compared with it.
    results = cases.sorted { $0.threads < $1.threads }.map { ProductBench.Result(product: $0) }
    for product in cases {
      if operands[product.kind] == nil {
        let copies = cases.contains { $0.kind == product.kind && $0.isStreamed } ? 4 : 1
        operands[product.kind] = try ProductOperands(product.shape, product.kind, copies: copies)
      }
      if product.isPacked, packed[product.name] == nil, let own = operands[product.kind] {
        packed[product.name] = try PackedProducts(own)
      }
    }
  }

  mutating func run(round: Int, _ pool: ThreadPool) throws(MartletError) {
    var peaks: [Unit: Double] = [:]
    for index in results.indices {
      let product = results[index].product
      guard let own = operands[product.kind] else { continue }
      let weights = packed[product.name]
      try pool.setThreadCount(product.threads)
      let unit = Unit(
        unit: product.kind.unit(hasBF16: ProductCase.hasBF16), threads: product.threads)
      let peak =
        peaks[unit]
        ?? HardwarePeak.measure(unit.unit, threads: unit.threads, samples: 2) ?? .infinity
      peaks[unit] = peak
      var reading = 0.0
      if product.isStreamed {
        let copy = (2 * round + 1) % own.copies
        reading =
          Double(
            HardwarePeak.timeOfReading(
              weights?.memory(copy) ?? UnsafeRawPointer(own.rhsView(copy).pointer),
              byteCount: Int(product.weightBytes), threads: product.threads)) / 1e9
      }
      let (seconds, execution) = try time(product, own, weights, copy: 2 * round % own.copies)
      results[index].execution = execution
      // The first round warms up.
      if round == 0 { continue }
      let alone = results.first {
        $0.product.name == product.name && $0.product.threads == 1 && product.threads > 1
      }
      results[index].rounds.append(
        ProductBench.Result.Round(
          seconds: seconds, peak: peak, readSeconds: reading,
          aloneSeconds: alone?.rounds.last?.seconds))
    }
  }

  private func time(
    _ product: ProductCase, _ operands: ProductOperands, _ packed: PackedProducts?, copy: Int
  ) throws(MartletError) -> (seconds: Double, execution: Execution?) {
    // Short products are repeated to about a millisecond.
    let repeats = max(1, Int(1e8 / max(product.shape.operations, 1)))
    func run() throws(MartletError) -> Execution {
      if product.kind == .int8 {
        return try Backends.multiply([
          operands.integerProblem(copy, packed: packed?.integers(copy))
        ])
      }
      var problem = operands.problem(copy, mode: product.kind.mode)
      problem.packedRHS = packed?.floats(copy)
      return try Backends.run(problem)
    }
    // Others have had the caches; streamed weights are not to be in them.
    var execution = product.isStreamed ? nil : try run()
    let start = mp_now_ns()
    for _ in 0..<repeats { execution = try run() }
    return (Double(mp_now_ns() - start) / 1e9 / Double(repeats), execution)
  }
}

/// The matrices of a product, filled with small numbers; rhs several times over where caches must not
/// keep it.
struct ProductOperands {
  let shape: ProductShape
  let kind: ProductKind
  let copies: Int
  private let lhs: Tensor
  private let rhs: Tensor
  private let dst: Tensor
  /// rhs lies in memory as [N, K].
  private let isTransposed: Bool

  init(
    _ shape: ProductShape, _ kind: ProductKind = .float32, copies: Int = 1,
    isTransposed: Bool = false
  ) throws(MartletError) {
    self.shape = shape
    self.kind = kind
    self.copies = copies
    self.isTransposed = isTransposed
    lhs = try ProductOperands.filled(kind.lhs, [shape.m, shape.k])
    rhs = try ProductOperands.filled(kind.rhs, [copies, shape.n, shape.k])
    dst = try Tensor(uninitialized: kind.dst, [shape.m, shape.n])
  }

  private var lhsView: MatrixView { MatrixView(lhs.pointer, lhs.dtype, rowStride: shape.k) }
  private var dstView: MatrixView { MatrixView(dst.pointer, dst.dtype, rowStride: shape.n) }

  func rhsView(_ copy: Int = 0) -> MatrixView {
    MatrixView(
      rhs.pointer + copy * shape.n * shape.k * rhs.dtype.wholeByteCount, rhs.dtype,
      rowStride: isTransposed ? 1 : shape.n, columnStride: isTransposed ? shape.k : 1)
  }

  func problem(_ copy: Int = 0, mode: MathMode = .fp32) -> GEMMProblem {
    GEMMProblem(
      m: shape.m, n: shape.n, k: shape.k, lhs: lhsView, rhs: rhsView(copy), dst: dstView,
      mode: mode)
  }

  func integerProblem(_ copy: Int, packed: PackedIntegerMatrix?) -> IntegerProblem {
    var problem = IntegerProblem(
      m: shape.m, n: shape.n, k: shape.k, lhs: lhsView, rhs: rhsView(copy), dst: dstView)
    problem.packedRHS = packed
    return problem
  }

  private static func filled(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    let tensor = try Tensor(uninitialized: dtype, shape)
    for index in 0..<tensor.count {
      let value = Float(index % 251) / 125 - 1
      switch dtype {
      case .float32: tensor.typed(Float.self)[index] = value
      case .bfloat16: tensor.typed(UInt16.self)[index] = UInt16(value.bitPattern >> 16)
      default: tensor.typed(UInt8.self)[index] = UInt8(truncatingIfNeeded: index % 251)
      }
    }
    return tensor
  }
}

/// Every copy of a product's rhs, packed.
private struct PackedProducts {
  private var matrices: [PackedMatrix] = []
  private var integerMatrices: [PackedIntegerMatrix] = []

  init(_ operands: ProductOperands) throws(MartletError) {
    let shape = operands.shape
    for copy in 0..<operands.copies {
      if operands.kind == .int8 {
        integerMatrices.append(
          try Backends.packIntegers(operands.rhsView(copy), k: shape.k, n: shape.n))
      } else {
        matrices.append(
          try Backends.pack(
            operands.rhsView(copy), k: shape.k, n: shape.n, mode: operands.kind.mode))
      }
    }
  }

  func floats(_ copy: Int) -> PackedMatrix? { copy < matrices.count ? matrices[copy] : nil }
  func integers(_ copy: Int) -> PackedIntegerMatrix? {
    copy < integerMatrices.count ? integerMatrices[copy] : nil
  }
  func memory(_ copy: Int) -> UnsafeRawPointer? {
    floats(copy).map { UnsafeRawPointer($0.storage.base) }
  }
}
