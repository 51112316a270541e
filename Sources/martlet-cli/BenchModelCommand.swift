import ArgumentParser
import MartletBackends
import MartletCore
import MartletGraph
import MartletPlatform
import MartletRuntime

/// `martlet bench model MODEL`: latencies in FP32 and BF16, interleaved.
struct BenchModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Measures a model's latency in FP32 against BF16.",
    discussion: """
      martlet bench model model.onnx batch_size=1 sequence_length=128

      Inputs that are not given with --input are made up; symbol=extent arguments size them (1 \
      where left out). FP32 and BF16 run in turn, so that drift of the machine meets both alike.
      """)

  @Argument(help: "The .onnx file.", completion: .file(extensions: ["onnx"]))
  var model: String

  @Argument(help: "Extents of the model's symbols, symbol=extent.")
  var extents: [String] = []

  @Option(
    name: .customLong("input"), parsing: .singleValue,
    help: ArgumentHelp("An input from a file, name=file.npy.", valueName: "name=file"))
  var inputs: [String] = []

  @Option(help: "Threads at most.")
  var threads: Int?

  @Option(help: "Seconds to measure for; at least 5 runs of each are made.")
  var seconds = 3.0

  @Flag(help: "Print JSON.")
  var json = false

  private struct Contender {
    let name: String
    let mode: MathMode
    let session: RunSession
    var times = Latencies()
    var results: [Tensor] = []
  }

  func validate() throws {
    guard seconds > 0, seconds.isFinite else { throw ValidationError("--seconds must be positive") }
  }

  func run() throws {
    try Console.reporting {
      if let threads { try ThreadPool.shared.setThreadCount(threads) }
      let loaded = try Model.loadShowingProgress(model)
      let feeds = try ModelInputs.complete(
        ModelInputs.read(inputs, for: loaded), for: loaded,
        extents: ModelInputs.extents(extents))
      // A model each: a weight is packed for one mode.
      var contenders = try [MathMode.fp32, .bf16].map { mode in
        var options = Model.Options()
        options.run.mode = mode
        let own = try Model.loadShowingProgress(model, options: options)
        return Contender(name: "\(mode)", mode: mode, session: own.makeRun())
      }
      try measure(&contenders, feeds)
      let (operations, isWhole) = try OperationCount.of(loaded.graph, inputs: feeds)
      let outcome = Outcome(
        operations: operations, isWhole: isWhole, shapes: feeds.mapValues(\.shape))
      try Console.output(json ? document(contenders, outcome).text : text(contenders, outcome))
    }
  }

  private struct Outcome {
    /// Floating-point operations of the matrix work of one run.
    let operations: Double
    let isWhole: Bool
    let shapes: [String: [Int]]
  }

  private func measure(_ contenders: inout [Contender], _ feeds: [String: Tensor])
    throws(MartletError)
  {
    let line = ProgressLine("measuring")
    let start = mp_now_ns()
    var round = 0
    while round < 7 || Double(mp_now_ns() - start) < seconds * 1e9 {
      line.show("round \(round), \((Double(mp_now_ns() - start) / 1e9).fixed(0)) s")
      for index in contenders.indices {
        // The other contender has had the caches; one run that does not count gets them back.
        if round > 0 { _ = try contenders[index].session.run(feeds) }
        let begun = mp_now_ns()
        contenders[index].results = try contenders[index].session.run(feeds)
        // The first two rounds pack weights and warm up.
        if round >= 2 { contenders[index].times.add(mp_now_ns() - begun) }
      }
      round += 1
    }
  }

  private func products(_ contender: Contender) -> [(precision: String, count: Int)] {
    var counts: [String: Int] = [:]
    for row in contender.session.precisionReport() { counts[row.precision, default: 0] += 1 }
    return counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  private func reason(_ contender: Contender) -> String? {
    contender.session.precisionReport().first { !$0.reason.isEmpty }?.reason
  }

  private func text(_ contenders: [Contender], _ outcome: Outcome) -> String {
    var table = TextTable(
      ["", "min ms", "p50", "p90", "p99", "runs", "GFLOP/s", "products"], numeric: 1..<7)
    for contender in contenders {
      let times = contender.times
      let counts = products(contender).map { "\($0.count) \($0.precision)" }
      table.add([
        contender.name, times.percentile(0).fixed(3), times.median.fixed(3),
        times.percentile(0.9).fixed(3), times.percentile(0.99).fixed(3), "\(times.sorted.count)",
        (outcome.isWhole ? "" : ">= ") + (outcome.operations / times.median / 1e6).fixed(1),
        counts.joined(separator: ", "),
      ])
    }
    let shapes = outcome.shapes.sorted { $0.key < $1.key }.map {
      "\($0.key) \(Shape.text($0.value))"
    }
    var lines = [
      "\(model): \(shapes.joined(separator: ", ")); threads \(ThreadPool.shared.threadCount)", "",
      table.text, "",
      "BF16 is \((contenders[0].times.median / contenders[1].times.median).fixed(2)) times as fast",
    ]
    if let reason = reason(contenders[1]) {
      lines.append("BF16 ran some products in fp32: \(reason)")
    }
    return lines.joined(separator: "\n")
  }

  private func document(_ contenders: [Contender], _ outcome: Outcome) -> JSON {
    let rows = contenders.map { contender in
      JSON.object([
        ("mode", .string(contender.name)), ("min_ms", .number(contender.times.percentile(0))),
        ("p50_ms", .number(contender.times.median)),
        ("p90_ms", .number(contender.times.percentile(0.9))),
        ("p99_ms", .number(contender.times.percentile(0.99))),
        ("runs", .int(contender.times.sorted.count)),
        ("gflops", .number(outcome.operations / contender.times.median / 1e6)),
        (
          "products",
          .object(products(contender).map { ($0.precision, .int($0.count)) })
        ),
        ("reason", .optional(reason(contender))),
      ])
    }
    return .object([
      ("model", .string(model)), ("threads", .int(ThreadPool.shared.threadCount)),
      (
        "inputs",
        .object(
          outcome.shapes.sorted { $0.key < $1.key }.map {
            ($0.key, .array($0.value.map { .int($0) }))
          })
      ),
      ("matrix_gflop", .number(outcome.operations / 1e9)),
      ("matrix_gflop_is_complete", .bool(outcome.isWhole)),
      ("modes", .array(rows)),
      (
        "bf16_speed_up", .number(contenders[0].times.median / contenders[1].times.median)
      ),
    ])
  }
}
