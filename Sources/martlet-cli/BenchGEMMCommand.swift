import ArgumentParser
import MartletBackends
import MartletCore

/// `martlet bench`: measurements against this machine's own limits.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures matrix products or a model on this machine.",
    subcommands: [BenchGEMMCommand.self, BenchModelCommand.self])
}

/// `martlet bench gemm`: GFLOP/s of matrix products, as shares of the measured limits.
struct BenchGEMMCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gemm",
    abstract: "Measures matrix products [M, K] x [K, N] in float32, in BF16 mode and in int8.",
    discussion: """
      All variants of a shape run in turn, round after round, beside what limits them: multiply-adds \
      on registers alone and, where few rows meet large weights, reading memory. Figures are \
      medians; a share or a speed-up is the median of the rounds' own.
      """)

  @Option(
    name: .customLong("shape"),
    help: ArgumentHelp(
      "A product to measure, repeatable; 1024x1024x1024 by default.", valueName: "MxNxK"))
  var shapes: [ProductShape] = []
  @Option(help: "A list of products: bars, those that have a share of the limit to reach.")
  var suite: ProductSuite?
  @Option(help: "Measure this mode alone: FP32 or BF16.") var mode: String?
  @Option(help: "Threads at most; more than one adds the suite's speed-ups over one.")
  var threads = 1
  @Option(help: "Rounds that count.") var rounds = 15
  @Flag(help: "Print JSON.") var json = false
  @Option(help: ArgumentHelp("Also write the figures as JSON to this file.", valueName: "file"))
  var output: String?

  func validate() throws {
    guard rounds >= 1 else { throw ValidationError("--rounds must be at least 1") }
  }

  func run() throws {
    try Console.reporting {
      var engine = EngineOptions()
      engine.mode = mode
      engine.threads = threads
      let only = try engine.apply()
      var cases = suite == .bars ? ProductCase.bars(threads: threads) : []
      let chosen = shapes.isEmpty && suite == nil ? [ProductShape(1024, 1024, 1024)] : shapes
      cases += chosen.flatMap { ProductCase.all($0, threads: threads) }
      cases = cases.filter { only == nil || ($0.kind.mode == only && $0.kind != .int8) }
      let report = try ProductBench(cases: cases, rounds: rounds).run()
      if let output {
        let file = try OpenFile(writing: output)
        try file.write(Array((report.document.text + "\n").utf8))
        try file.close()
      }
      try Console.output(json ? report.document.text : report.text)
    }
  }
}
