import ArgumentParser
import MartletBackends
import MartletCore
import MartletPlatform

/// `martlet bench`: measurements against this machine's own limits.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures matrix products or a model on this machine.",
    subcommands: [BenchGEMMCommand.self, BenchModelCommand.self])
}

/// `martlet bench gemm`: GFLOP/s of matrix products, as shares of the measured peak.
struct BenchGEMMCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gemm",
    abstract: "Measures matrix products [M, K] x [K, N] in float32, in BF16 mode and in int8.",
    discussion: """
      All variants run in turn, round after round, so that drift of the machine meets all alike; \
      figures are of the median round. Peaks are multiply-adds on registers alone, measured \
      before, between and after the rounds (the best counts).
      """)

  @Option(
    name: .customLong("shape"),
    help: ArgumentHelp(
      "A product to measure in float32, packed and not; repeatable.", valueName: "MxNxK"))
  var shapes: [ProductShape] = []
  @Option(help: "A list of products: bars, those that have a share of the limit to reach.")
  var suite: ProductSuite?
  @Option(help: "Rows of the left matrix.") var m = 1024
  @Option(help: "Columns of the right matrix.") var n = 1024
  @Option(help: "Columns of the left matrix.") var k = 1024
  @Option(help: "Measure this mode alone: FP32 or BF16.") var mode: String?
  @Option(help: "Threads at most.") var threads = 1
  @Option(help: "Rounds that count.") var rounds = 15
  @Flag(help: "Print JSON.") var json = false

  private struct Variant {
    let name: String
    let dtype: DType
    let mode: MathMode
    let isPacked: Bool
    var times = Latencies()
    var execution: Execution?
  }

  func validate() throws {
    for (name, value) in [("m", m), ("n", n), ("k", k), ("rounds", rounds)] where value < 1 {
      throw ValidationError("--\(name) must be at least 1")
    }
  }

  func run() throws {
    if suite != nil || !shapes.isEmpty {
      let cases = suite == .bars ? ProductCase.bars(threads: threads) : []
      return try Console.reporting {
        let bench = ProductBench(
          cases: cases + shapes.flatMap { ProductCase.both($0, threads: threads) }, rounds: rounds)
        let report = try bench.run()
        print(json ? report.document.text : report.text)
      }
    }
    try Console.reporting {
      var engine = EngineOptions()
      engine.mode = mode
      engine.threads = threads
      let only = try engine.apply()
      var variants = [
        Variant(name: "float32", dtype: .float32, mode: .fp32, isPacked: false),
        Variant(name: "float32, packed", dtype: .float32, mode: .fp32, isPacked: true),
        Variant(name: "BF16 mode", dtype: .float32, mode: .bf16, isPacked: false),
        Variant(name: "BF16 mode, packed", dtype: .float32, mode: .bf16, isPacked: true),
        Variant(name: "bfloat16, packed", dtype: .bfloat16, mode: .bf16, isPacked: true),
        Variant(name: "uint8 x int8", dtype: .uint8, mode: .fp32, isPacked: false),
        Variant(name: "uint8 x int8, packed", dtype: .uint8, mode: .fp32, isPacked: true),
      ].filter { only == nil || ($0.mode == only && $0.dtype.isFloatingPoint) }
      let peaks = try measure(&variants)
      print(json ? document(variants, peaks).text : text(variants, peaks))
    }
  }

  /// Operations per second of each unit, nil where there is none.
  private typealias Peaks = (float32: Double?, bfloat16: Double?, int8: Double?)

  /// Times all variants in turn; returns the units' peaks.
  private func measure(_ variants: inout [Variant]) throws(MartletError) -> Peaks {
    let operands = try Dictionary(
      uniqueKeysWithValues: [DType.float32, .bfloat16, .uint8].map { dtype throws(MartletError) in
        (dtype, try Operands(dtype, m: m, n: n, k: k))
      })
    var packed: [PackedMatrix?] = []
    var packedIntegers: PackedIntegerMatrix?
    for variant in variants {
      guard let operand = operands[variant.dtype], variant.isPacked else {
        packed.append(nil)
        continue
      }
      if variant.dtype == .uint8 {
        packedIntegers = try Backends.packIntegers(operand.rhsView, k: k, n: n)
        packed.append(nil)
      } else {
        packed.append(try Backends.pack(operand.rhsView, k: k, n: n, mode: variant.mode))
      }
    }
    var peaks: (Double, Double, Double) = (0, 0, 0)
    let line = ProgressLine("measuring")
    for round in 0...rounds {
      if round % 5 == 0 {
        peaks.0 = max(peaks.0, HardwarePeak.measure(.float32, threads: threads) ?? 0)
        peaks.1 = max(peaks.1, HardwarePeak.measure(.bfloat16, threads: threads) ?? 0)
        peaks.2 = max(peaks.2, HardwarePeak.measure(.int8, threads: threads) ?? 0)
      }
      line.show("round \(round) of \(rounds)")
      for index in variants.indices {
        guard let operand = operands[variants[index].dtype] else { continue }
        var problem = operand.problem(m: m, n: n, k: k, mode: variants[index].mode)
        problem.packedRHS = packed[index]
        var integers = operand.integerProblem(m: m, n: n, k: k)
        integers.packedRHS = variants[index].isPacked ? packedIntegers : nil
        let start = mp_now_ns()
        variants[index].execution =
          try variants[index].dtype == .uint8
          ? Backends.multiply([integers]) : Backends.run(problem)
        // The first round warms up.
        if round > 0 { variants[index].times.add(mp_now_ns() - start) }
      }
    }
    return (
      peaks.0 > 0 ? peaks.0 : nil, peaks.1 > 0 ? peaks.1 : nil, peaks.2 > 0 ? peaks.2 : nil
    )
  }

  private func gigaflops(_ variant: Variant) -> Double {
    2 * Double(m) * Double(n) * Double(k) / (variant.times.median * 1e6)
  }

  /// The peak of the unit that the variant ran on.
  private func peak(_ variant: Variant, _ peaks: Peaks) -> Double? {
    switch variant.execution?.precision {
    case "int8": peaks.int8
    case "bf16": peaks.bfloat16 ?? peaks.float32
    default: peaks.float32
    }
  }

  private func text(_ variants: [Variant], _ peaks: Peaks) -> String {
    var table = TextTable(["", "median ms", "GFLOP/s", "of peak", "ran as"], numeric: 1..<4)
    for variant in variants {
      let share = peak(variant, peaks).map { gigaflops(variant) * 1e9 / $0 * 100 }
      var note = "\(variant.execution?.precision ?? "?") \(variant.execution?.kernel ?? "")"
      if let reason = variant.execution?.reason, !reason.isEmpty { note += " (\(reason))" }
      table.add([
        variant.name, variant.times.median.fixed(3), gigaflops(variant).fixed(1),
        share.map { "\($0.fixed(1))%" } ?? "-", note,
      ])
    }
    func show(_ peak: Double?) -> String {
      peak.map { "\(($0 / 1e9).fixed(1)) GFLOP/s" } ?? "none here"
    }
    return """
      \(m) x \(n) x \(k), \(threads) thread\(threads == 1 ? "" : "s")
      measured peak: float32 \(show(peaks.float32)), bfloat16 units \(show(peaks.bfloat16)), \
      int8 \(show(peaks.int8))

      \(table.text)
      """
  }

  private func document(_ variants: [Variant], _ peaks: Peaks) -> JSON {
    func rate(_ value: Double?) -> JSON { value.map { .number($0 / 1e9) } ?? .null }
    let rows = variants.map { variant in
      JSON.object([
        ("name", .string(variant.name)), ("median_ms", .number(variant.times.median)),
        ("gflops", .number(gigaflops(variant))),
        (
          "share_of_peak",
          peak(variant, peaks).map { .number(gigaflops(variant) * 1e9 / $0) } ?? .null
        ),
        ("precision", .optional(variant.execution?.precision)),
        ("kernel", .optional(variant.execution?.kernel)),
        ("reason", .optional(variant.execution?.reason)),
      ])
    }
    return .object([
      ("m", .int(m)), ("n", .int(n)), ("k", .int(k)), ("threads", .int(threads)),
      ("peak_gflops_float32", rate(peaks.float32)),
      ("peak_gflops_bfloat16", rate(peaks.bfloat16)), ("peak_gops_int8", rate(peaks.int8)),
      ("variants", .array(rows)),
    ])
  }
}

/// The matrices of a product, filled with small numbers.
private struct Operands {
  let lhs: Tensor
  let rhs: Tensor
  let dst: Tensor

  init(_ dtype: DType, m: Int, n: Int, k: Int) throws(MartletError) {
    lhs = try Operands.filled(dtype, [m, k])
    rhs = try Operands.filled(dtype == .uint8 ? .int8 : dtype, [k, n])
    dst = try Tensor(uninitialized: .float32, [m, n])
  }

  var rhsView: MatrixView { MatrixView(rhs.pointer, rhs.dtype, rowStride: rhs.strides[0]) }

  func problem(m: Int, n: Int, k: Int, mode: MathMode) -> GEMMProblem {
    GEMMProblem(
      m: m, n: n, k: k, lhs: MatrixView(lhs.pointer, lhs.dtype, rowStride: lhs.strides[0]),
      rhs: rhsView, dst: MatrixView(dst.pointer, .float32, rowStride: dst.strides[0]), mode: mode)
  }

  /// The same of int8 and uint8 operands, into int32.
  func integerProblem(m: Int, n: Int, k: Int) -> IntegerProblem {
    IntegerProblem(
      m: m, n: n, k: k, lhs: MatrixView(lhs.pointer, lhs.dtype, rowStride: lhs.strides[0]),
      rhs: rhsView, dst: MatrixView(dst.pointer, .int32, rowStride: dst.strides[0]))
  }

  private static func filled(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    let tensor = try Tensor(uninitialized: dtype, shape)
    for index in 0..<tensor.count {
      let value = Float(index % 251) / 125 - 1
      if dtype.byteCount == 1 {
        tensor.typed(UInt8.self)[index] = UInt8(truncatingIfNeeded: index % 251)
        continue
      }
      if dtype == .bfloat16 {
        tensor.typed(UInt16.self)[index] = UInt16(value.bitPattern >> 16)
      } else {
        tensor.typed(Float.self)[index] = value
      }
    }
    return tensor
  }
}
