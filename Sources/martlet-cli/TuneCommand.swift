import ArgumentParser
import Glibc
import MartletBackends
import MartletCore

/// `martlet tune`: times the ways that a product can run and keeps the fastest.
struct TuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune",
    abstract: "Times the ways that matrix products can run here and keeps the fastest.",
    discussion: """
      martlet tune --shape 1x4096x4096 --shape 128x768x768 --output martlet.tuning
      MARTLET_TUNING=martlet.tuning martlet run model.onnx

      Every candidate (route of the right matrix, cache blocks, thread split, tile) runs twice \
      uncounted and three times counted. What the cost model chooses stays where nothing is faster \
      by 3%. No choice changes a bit of a result. The file holds one line per choice and is read \
      for the instruction set and the processor that it was made on; --output adds to what the \
      file has.
      """)

  @Option(
    name: .customLong("shape"),
    help: ArgumentHelp("A product to tune; repeatable.", valueName: "MxNxK"))
  var shapes: [ProductShape] = []
  @Option(help: "All products of a list: bars.") var suite: ProductSuite?
  @Flag(help: "The right matrix is not packed before the product.") var unpacked = false
  @Flag(help: "The right matrix lies in memory as [N, K]; with --unpacked.") var transposed = false
  @Option(help: ArgumentHelp("Write the choices to this file.", valueName: "file"))
  var output: String?
  @Option(help: ArgumentHelp("Print what a tuning file holds, and stop.", valueName: "file"))
  var show: String?
  @Flag(help: "Print every candidate's time.") var all = false
  @Flag(help: "Print JSON.") var json = false
  @OptionGroup var engine: EngineOptions

  func validate() throws {
    guard show != nil || !shapes.isEmpty || suite != nil else {
      throw ValidationError("nothing to do: give --shape MxNxK, --suite bars or --show FILE")
    }
  }

  private struct Outcome {
    let shape: GEMMShape
    let timings: [GEMMTuner.Timing]
    let winner: GEMMTuner.Timing
    var planned: Int64 { timings.first { $0.isPlanned }?.nanoseconds ?? winner.nanoseconds }
  }

  func run() throws {
    try Console.reporting {
      let mode = MathMode.effective(argument: try engine.apply())
      if let show {
        let table = try GEMMTuning(path: show)
        try Console.output(
          json ? document(table).text : table.text, terminator: json ? "\n" : "")
        return
      }
      var table = GEMMTuning()
      if let output, access(output, F_OK) == 0 { table = try GEMMTuning(path: output) }
      let line = ProgressLine("tuning")
      var outcomes: [Outcome] = []
      let wanted = shapes + (suite == .bars ? suiteShapes : [])
      for (index, shape) in wanted.enumerated() {
        let operands = try ProductOperands(shape, isTransposed: transposed)
        var problem = operands.problem(mode: mode)
        if !unpacked {
          problem.packedRHS = try Backends.pack(
            operands.rhsView(), k: shape.k, n: shape.n, mode: mode)
        }
        let tuner = try GEMMTuner(problem)
        let timings = try tuner.measure { done, count in
          line.show("\(shape.text), \(index + 1) of \(wanted.count), run \(done) of \(count)")
        }
        guard let winner = GEMMTuner.winner(timings) else { continue }
        table.set(winner.choice, for: tuner.shape, isa: tuner.isa)
        outcomes.append(Outcome(shape: tuner.shape, timings: timings, winner: winner))
      }
      if let output { try table.save(path: output) }
      try Console.output(json ? document(outcomes).text : text(outcomes))
    }
  }

  private var suiteShapes: [ProductShape] {
    var seen = Set<ProductShape>()
    return ProductCase.bars(threads: 1).map(\.shape).filter { seen.insert($0).inserted }
  }

  private func text(_ outcomes: [Outcome]) -> String {
    var table = TextTable(
      ["MxNxK", "rhs", "route", "kc", "mc", "rows", "columns", "tile", "us", "gain", ""],
      numeric: 3..<10)
    for outcome in outcomes {
      for timing in all ? outcome.timings : [outcome.winner] {
        let choice = timing.choice
        let gain = Double(outcome.planned) / Double(max(timing.nanoseconds, 1)) - 1
        let notes = [
          timing.choice == outcome.winner.choice ? "kept" : "",
          timing.isPlanned ? "cost model" : "",
        ]
        table.add([
          "\(outcome.shape.m)x\(outcome.shape.n)x\(outcome.shape.k)", outcome.shape.rhs.rawValue,
          choice.route.rawValue, "\(choice.kc)", "\(choice.mc)", "\(choice.rows)",
          "\(choice.columns)", "\(choice.tileRows)",
          (Double(timing.nanoseconds) / 1e3).fixed(1), "\((gain * 100).fixed(1))%",
          notes.filter { !$0.isEmpty }.joined(separator: ", "),
        ])
      }
    }
    return table.text
  }

  private func members(_ choice: GEMMChoice) -> [(String, JSON)] {
    [
      ("route", .string(choice.route.rawValue)), ("kc", .int(choice.kc)), ("mc", .int(choice.mc)),
      ("rows", .int(choice.rows)), ("columns", .int(choice.columns)),
      ("tile", .int(choice.tileRows)),
    ]
  }

  private func document(_ table: GEMMTuning) -> JSON {
    let rows = table.choices.map { key, choice in
      let shape: [(String, JSON)] = [
        ("isa", .string(key.isa)), ("processor", .string(key.processor)),
        ("m", .int(key.shape.m)), ("n", .int(key.shape.n)), ("k", .int(key.shape.k)),
        ("rhs", .string(key.shape.rhs.rawValue)), ("threads", .int(key.shape.threads)),
      ]
      return JSON.object(shape + members(choice))
    }
    return .array(rows.sorted { $0.text < $1.text })
  }

  private func document(_ outcomes: [Outcome]) -> JSON {
    .array(
      outcomes.map { outcome in
        .object([
          ("m", .int(outcome.shape.m)), ("n", .int(outcome.shape.n)),
          ("k", .int(outcome.shape.k)), ("rhs", .string(outcome.shape.rhs.rawValue)),
          ("threads", .int(outcome.shape.threads)),
          ("planned_us", .number(Double(outcome.planned) / 1e3)),
          (
            "candidates",
            .array(
              outcome.timings.map { timing in
                .object(
                  members(timing.choice) + [
                    ("us", .number(Double(timing.nanoseconds) / 1e3)),
                    ("is_planned", .bool(timing.isPlanned)),
                    ("is_kept", .bool(timing.choice == outcome.winner.choice)),
                  ])
              })
          ),
        ])
      })
  }
}
