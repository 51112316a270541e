import ArgumentParser
import Glibc
import MartletCore
import MartletGraph
import MartletOperators
import MartletRuntime

/// `martlet run MODEL`: one run from .npy files to .npy files.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Runs a model on .npy files and writes its outputs as .npy files.",
    discussion: """
      martlet run model.onnx --input x=x.npy --output-dir out --mode BF16

      Each output is written to <output-dir>/<name>.npy; characters that do not belong in file \
      names become '_'.
      """)

  @Argument(help: "The .onnx file.", completion: .file(extensions: ["onnx"]))
  var model: String

  @Option(
    name: .customLong("input"), parsing: .singleValue,
    help: ArgumentHelp(
      "An input, name=file.npy; once for each. One input needs no name.", valueName: "name=file"))
  var inputs: [String] = []

  @Option(
    help: "Where the outputs go; made if it is not there. Without it, they are described only.")
  var outputDir: String?

  @Flag(help: "Print what each node's products ran as, and why.")
  var report = false

  @Flag(help: "Print the time that each node took.")
  var profile = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var engine: EngineOptions

  func run() throws {
    try Console.reporting {
      var options = Model.Options()
      options.run.mode = try engine.apply()
      let loaded = try Model.loadShowingProgress(model, options: options)
      let feeds = try ModelInputs.read(inputs, for: loaded)
      let session = loaded.makeRun()
      session.isProfiling = profile
      let line = ProgressLine("running")
      let results = try session.run(feeds) { progress in
        line.show("node \(progress.completed) of \(progress.total)")
        return true
      }
      let paths = try write(results, of: loaded)
      try Console.output(
        json
          ? document(loaded, session, results, paths).text
          : text(loaded, session, results, paths))
    }
  }

  private func write(_ results: [Tensor], of model: Model) throws(MartletError) -> [String?] {
    guard let outputDir else { return results.map { _ in nil } }
    guard mkdir(outputDir, 0o777) == 0 || errno == EEXIST else {
      throw MartletError(.io, "cannot make \(outputDir): \(OpenFile.reason(errno))")
    }
    var paths: [String?] = []
    for (port, tensor) in zip(model.outputs, results) {
      var path = "\(outputDir)/\(RunCommand.fileName(port.name)).npy"
      // Two names may become one file name.
      if paths.contains(path) {
        path = "\(outputDir)/\(RunCommand.fileName(port.name))_\(paths.count).npy"
      }
      try NumPyFile.write(tensor, to: path)
      paths.append(path)
    }
    return paths
  }

  /// The name with everything but letters, digits and `-_.` replaced, and no leading dot.
  static func fileName(_ name: String) -> String {
    let safe = name.unicodeScalars.map { scalar -> Character in
      scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
        || "-_.".contains(Character(scalar))
        ? Character(scalar) : "_"
    }
    let text = String(safe)
    return text.isEmpty || text.hasPrefix(".") ? "_" + text : text
  }

  private func text(
    _ model: Model, _ session: RunSession, _ results: [Tensor], _ paths: [String?]
  ) -> String {
    var table = TextTable(["output", "dtype", "shape", "file"])
    for (index, tensor) in results.enumerated() {
      table.add([
        model.outputs[index].name, "\(tensor.dtype)", Shape.text(tensor.shape), paths[index] ?? "",
      ])
    }
    var parts = [table.text]
    if report {
      var rows = TextTable(["node", "operator", "precision", "kernel", "why"])
      for row in session.precisionReport() {
        rows.add([row.node, row.operatorName, row.precision, row.kernel, row.reason])
      }
      parts.append(rows.text)
    }
    if profile {
      var rows = TextTable(["node", "operator", "us"], numeric: 2..<3)
      for row in session.profile.sorted(by: { $0.nanoseconds > $1.nanoseconds }) {
        rows.add([row.node, row.operatorName, (Double(row.nanoseconds) / 1e3).fixed(1)])
      }
      parts.append(rows.text)
    }
    return parts.joined(separator: "\n\n")
  }

  private func document(
    _ model: Model, _ session: RunSession, _ results: [Tensor], _ paths: [String?]
  ) -> JSON {
    var members: [(String, JSON)] = [
      (
        "outputs",
        .array(
          results.enumerated().map { index, tensor in
            .object([
              ("name", .string(model.outputs[index].name)), ("dtype", .string("\(tensor.dtype)")),
              ("shape", .array(tensor.shape.map { .int($0) })), ("file", .optional(paths[index])),
            ])
          })
      )
    ]
    if report {
      let rows = session.precisionReport().map { row in
        JSON.object([
          ("node", .string(row.node)), ("operator", .string(row.operatorName)),
          ("precision", .string(row.precision)), ("kernel", .string(row.kernel)),
          ("reason", .string(row.reason)),
        ])
      }
      members.append(("precision", .array(rows)))
    }
    if profile {
      let rows = session.profile.map { row in
        JSON.object([
          ("node", .string(row.node)), ("operator", .string(row.operatorName)),
          ("nanoseconds", .int(Int(row.nanoseconds))),
        ])
      }
      members.append(("profile", .array(rows)))
    }
    return .object(members)
  }
}
