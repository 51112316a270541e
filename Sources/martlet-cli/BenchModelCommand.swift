import ArgumentParser
import MartletBackends
import MartletCore
import MartletGraph
import MartletPlatform
import MartletRuntime

/// `martlet bench model MODEL`: latencies in one or several modes, interleaved.
struct BenchModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Measures a model's latency in FP32 against BF16, or in other modes.",
    discussion: """
      martlet bench model model.onnx batch_size=1 sequence_length=128
      martlet bench model model.onnx pixels=1x3x224x224 --mode BF16

      Inputs that are not given with --input or --image are made up; symbol=extent arguments size \
      their symbols (1 where left out), input=shape whole inputs. Modes run in turn, so that drift \
      of the machine meets all alike.
      """)

  @Argument(help: "The .onnx file; - is standard input.", completion: .file(extensions: ["onnx"]))
  var model: String

  @Argument(
    help: ArgumentHelp(
      "Extents of the model's symbols, symbol=extent, and shapes of its inputs, input=2x3x4.",
      valueName: "sizes"))
  var sizes: [String] = []

  @OptionGroup var input: InputOptions

  @Option(
    name: .customLong("mode"), parsing: .singleValue,
    help: ArgumentHelp(
      "A mode to measure, once for each: FP32, BF16, TF32, F16 or ANY; FP32 and BF16 by default."))
  var modes: [String] = []

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
    var results: [Value] = []
  }

  func validate() throws {
    guard seconds > 0, seconds.isFinite else { throw ValidationError("--seconds must be positive") }
  }

  func run() throws {
    try Console.reporting {
      try ModelFile.checkStandardInput([model] + input.arguments)
      if let threads { try ThreadPool.shared.setThreadCount(threads) }
      var wanted: [MathMode] = []
      for name in modes {
        let mode = try EngineOptions.mode(name)
        if !wanted.contains(mode) { wanted.append(mode) }
      }
      let file = try ModelFile(model)
      let loaded = try file.load()
      var inputs = try MadeUpInputs(sizes, for: loaded)
      let feeds = try inputs.complete(input.read(for: loaded), for: loaded)
      // A model each: a weight is packed for one mode.
      var contenders: [Contender] = []
      for mode in wanted.isEmpty ? [.fp32, .bf16] : wanted {
        var options = Model.Options()
        options.run.mode = mode
        let own = try file.load(options)
        contenders.append(Contender(name: "\(mode)", mode: mode, session: own.makeRun()))
      }
      do throws(MartletError) { try measure(&contenders, feeds) } catch {
        throw inputs.explained(error)
      }
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
    let names = feeds.keys.sorted()
    let given = names.compactMap { feeds[$0] }.map { Value.tensor($0) }
    let start = mp_now_ns()
    var round = 0
    while round < 7 || Double(mp_now_ns() - start) < seconds * 1e9 {
      line.show("round \(round), \((Double(mp_now_ns() - start) / 1e9).fixed(0)) s")
      for index in contenders.indices {
        let session = contenders[index].session
        let (values, replacing) = try session.model.ordered(given, named: names)
        // The other contender has had the caches; one run that does not count gets them back.
        if round > 0, contenders.count > 1 {
          _ = try session.run(values: values, replacing: replacing)
        }
        let begun = mp_now_ns()
        contenders[index].results = try session.run(values: values, replacing: replacing)
        // The first two rounds pack weights and warm up.
        if round >= 2 { contenders[index].times.add(mp_now_ns() - begun) }
      }
      round += 1
    }
  }

  /// How many times as fast as the first contender each other one is.
  private func speedUps(_ contenders: [Contender]) -> [(name: String, factor: Double)] {
    contenders.dropFirst().map { ($0.name, contenders[0].times.median / $0.times.median) }
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
      table.text,
    ]
    var notes = speedUps(contenders).map { name, factor in
      "\(name) is \(factor.fixed(2)) times as fast as \(contenders[0].name)"
    }
    for contender in contenders where contender.mode != .fp32 {
      guard let reason = reason(contender) else { continue }
      notes.append("\(contender.name) ran some products in fp32: \(reason)")
    }
    if !notes.isEmpty { lines += [""] + notes }
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
        "speed_up_over_first",
        .object(speedUps(contenders).map { ($0.name, .number($0.factor)) })
      ),
    ])
  }
}
