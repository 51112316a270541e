import ArgumentParser
import MartletBackends
import MartletCore
import MartletOperators

/// `martlet info`: the processor, the chosen kernels and why, threads and mode.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Prints the processor, the chosen kernels and why, threads and mode.",
    discussion: "MARTLET_ISA=avx2 caps the instruction set; this command shows to what effect.")

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var engine: EngineOptions

  func run() throws {
    try Console.reporting {
      let mode = MathMode.effective(argument: try engine.apply())
      let selection = ISASelection.current
      try Console.output(json ? document(selection, mode).text : text(selection, mode))
    }
  }

  private func verdict(_ name: String, _ selection: ISASelection) -> String {
    if name == selection.name { return "chosen" }
    if let refusal = selection.refused.first(where: { $0.name == name }) {
      return "not used: \(refusal.reason)"
    }
    return "available; a more capable one is used"
  }

  private func precision(_ mode: MathMode) -> String {
    let (usesBF16, reason) = Backends.precision(for: mode)
    if usesBF16 { return "bf16" }
    return reason.isEmpty ? "fp32" : "fp32 (\(reason))"
  }

  /// The backend that matrix work is given to, or why that fails.
  private var backend: String {
    do throws(MartletError) { return try Backends.nameInUse() } catch {
      return "none: \(error)"
    }
  }

  private func text(_ selection: ISASelection, _ mode: MathMode) -> String {
    let caches = selection.cacheBytes.enumerated().filter { $1 > 0 }.map {
      "L\($0 + 1) \($1 / 1024) KiB"
    }
    var kernels = TextTable(["kernel", "written for", "purpose", "why"])
    for row in selection.kernelRows { kernels.add([row.name, row.isa, row.purpose, row.reason]) }
    var sets = TextTable(["instruction set", "verdict"])
    sets.styles["chosen"] = .success
    for name in selection.compiledIn { sets.add([name, verdict(name, selection)]) }
    return """
      processor   \(selection.processor)
      features    \(selection.features.joined(separator: " "))
      caches      \(caches.joined(separator: ", "))
      threads     \(ThreadPool.shared.threadCount)
      mode        \(mode); float32 products run as \(precision(mode))
      BF16 mode   float32 products would run as \(precision(.bf16))
      backend     \(backend)
      operators   \(OperatorTable.all.count)

      \(sets.text)

      \(kernels.text)
      """
  }

  private func document(_ selection: ISASelection, _ mode: MathMode) -> JSON {
    .object([
      ("processor", .string(selection.processor)),
      ("features", .strings(selection.features)),
      ("cache_bytes", .array(selection.cacheBytes.map { .int($0) })),
      ("threads", .int(ThreadPool.shared.threadCount)),
      ("mode", .string("\(mode)")),
      ("precision", .string(precision(mode))),
      ("precision_in_bf16_mode", .string(precision(.bf16))),
      ("backend", .string(backend)),
      ("isa", .string(selection.name)),
      (
        "instruction_sets",
        .array(
          selection.compiledIn.map { name in
            .object([
              ("name", .string(name)), ("is_chosen", .bool(name == selection.name)),
              ("verdict", .string(verdict(name, selection))),
            ])
          })
      ),
      (
        "kernels",
        .array(
          selection.kernelRows.map { row in
            .object([
              ("name", .string(row.name)), ("isa", .string(row.isa)),
              ("purpose", .string(row.purpose)), ("reason", .string(row.reason)),
            ])
          })
      ),
      ("operators", .strings(OperatorTable.all.map { $0.schema.name })),
    ])
  }
}
