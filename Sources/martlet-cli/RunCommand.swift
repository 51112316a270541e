import ArgumentParser
import Glibc
import MartletCore
import MartletGraph
import MartletPlatform
import MartletRuntime

/// `martlet run MODEL`: runs from files, pictures or a pipe to values, files or a pipe.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Runs a model on arrays or pictures and prints or writes its outputs.",
    discussion: """
      martlet run model.onnx --input x=x.npy --output-dir out --mode BF16
      martlet run model.onnx --image photo.jpg --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
      martlet run model.onnx --input - --output - < x.npy > y.npy

      Outputs are printed in short; --full prints all of them, --json as JSON (tensors of more than \
      1,000 elements with --full). A file is written whole or not at all. Characters of outputs' \
      names that do not belong in file names become '_'.
      """)

  @Argument(help: "The .onnx file; - is standard input.", completion: .file(extensions: ["onnx"]))
  var model: String

  @OptionGroup var input: InputOptions
  @OptionGroup var output: OutputOptions

  @Flag(help: "Print all values, with all their digits.")
  var full = false

  @Option(name: .customLong("repeat"), help: "Run so many times, and print the times.")
  var repetitions: Int?

  @Flag(help: "Print what each node's products ran as, and why.")
  var report = false

  @Flag(
    help: "Print the time that each node takes in runs after the first (10, or as --repeat says).")
  var profile = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var engine: EngineOptions

  func validate() throws {
    if let repetitions, repetitions < 1 { throw ValidationError("--repeat must be at least 1") }
    let extra = [
      (json, "--json"), (full, "--full"), (report, "--report"), (profile, "--profile"),
      (repetitions != nil, "--repeat"),
    ].first { $0.0 }
    if let extra, output.outputs.contains(where: { $0 == "-" || $0.hasSuffix("=-") }) {
      throw ValidationError("--output - and \(extra.1) would both write to standard output")
    }
  }

  func run() throws {
    try Console.reporting {
      try ModelFile.checkStandardInput([model] + input.arguments)
      var options = Model.Options()
      options.run.mode = try engine.apply()
      let loaded = try ModelFile(model).load(options)
      let files = try ResultFiles(output, for: loaded)
      try files.checkStandardOutput()
      let feeds = try input.read(for: loaded)
      try input.check(feeds, for: loaded)
      let session = loaded.makeRun()
      let line = ProgressLine("running")
      var runs = Runs(session, feeds)
      let results = try runs.first { progress in
        line.show("node \(progress.completed) of \(progress.total)")
        return true
      }
      // Written before anything else can fail.
      try files.write(results)
      if profile || repetitions != nil {
        try runs.repeated(repetitions ?? 10, isProfiling: profile) { line.show($0) }
      }
      if files.useStandardOutput { return }
      let printer = RunReport(
        model: loaded, session: session, results: results, files: files, runs: runs,
        values: ValueText(isFull: full), hasPrecision: report, hasProfile: profile)
      try Console.output(json ? try printer.document().text : try printer.text())
    }
  }
}

/// The runs of one command: the first, whose results count, and those that are timed.
struct Runs {
  /// Runs that do not count, the first among them: they pack weights and lay out memory.
  static let coldRuns = 3

  private let session: RunSession
  private let inputs: [Value]
  private let replacing: [String: Value]
  private let failure: MartletError?
  private(set) var firstNanoseconds: Int64 = 0
  private(set) var warm = Latencies()

  init(_ session: RunSession, _ feeds: [String: Tensor]) {
    self.session = session
    let names = feeds.keys.sorted()
    do throws(MartletError) {
      (inputs, replacing) = try session.model.ordered(
        names.compactMap { feeds[$0] }.map { .tensor($0) }, named: names)
      failure = nil
    } catch {
      (inputs, replacing, failure) = ([], [:], error)
    }
  }

  mutating func first(progress: ProgressCallback?) throws(MartletError) -> [Value] {
    if let failure { throw failure }
    let begun = mp_now_ns()
    let results = try session.run(values: inputs, replacing: replacing, progress: progress)
    firstNanoseconds = mp_now_ns() - begun
    return results
  }

  mutating func repeated(
    _ count: Int, isProfiling: Bool, show: (String) -> Void
  ) throws(MartletError) {
    for _ in 1..<Runs.coldRuns { _ = try session.run(values: inputs, replacing: replacing) }
    if isProfiling { session.isProfiling = true }
    for index in 0..<count {
      show("run \(index + 1) of \(count)")
      let begun = mp_now_ns()
      _ = try session.run(values: inputs, replacing: replacing)
      warm.add(mp_now_ns() - begun)
    }
  }
}
