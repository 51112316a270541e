import ArgumentParser
import Glibc
import MartletCore
import MartletRuntime

/// Where a run's outputs are written.
struct OutputOptions: ParsableArguments {
  @Option(
    name: [.customShort("o"), .customLong("output")], parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "A file for the outputs, or for the one that is named; - is standard output.",
      discussion: "Its extension says of which form it is: .npy, .npz, .csv or .json.",
      valueName: "[name=]file"))
  var outputs: [String] = []

  @Option(help: "A folder for a file of each output; made if it is not there.")
  var outputDir: String?

  @Option(help: "The form of the files: npy, npz, csv or json.")
  var format: ResultFiles.Form?
}

/// Files of results, each whole or not there.
struct ResultFiles {
  enum Form: String, ExpressibleByArgument, CaseIterable { case npy, npz, csv, json }

  private struct Target {
    let path: String
    let form: Form
    /// The outputs that it gets.
    let indices: [Int]
  }

  private let targets: [Target]
  private let names: [String]
  private let folder: String?
  /// Whether standard output is taken by one of them.
  let useStandardOutput: Bool

  /// Throws `invalidArgument` for names that the model does not have, and for more outputs than a form
  /// takes.
  init(_ options: OutputOptions, for model: Model) throws(MartletError) {
    names = model.outputs.map(\.name)
    folder = options.outputDir
    var targets: [Target] = []
    for argument in options.outputs {
      targets.append(try ResultFiles.target(argument, options.format, names))
    }
    if let folder {
      let form = options.format ?? .npy
      guard form != .npz else {
        throw MartletError(
          .invalidArgument, "--output-dir takes a file of each output: npy, csv or json",
          expected: "npy, csv or json", actual: "npz")
      }
      var paths: Set<String> = []
      for (index, name) in names.enumerated() {
        var path = "\(folder)/\(ResultFiles.fileName(name)).\(form)"
        // Two names may become one file name.
        if !paths.insert(path).inserted {
          path = "\(folder)/\(ResultFiles.fileName(name))_\(index).\(form)"
        }
        targets.append(Target(path: path, form: form, indices: [index]))
      }
    }
    self.targets = targets
    useStandardOutput = targets.contains { $0.path == OpenFile.standard }
  }

  private static func target(
    _ argument: String, _ form: Form?, _ names: [String]
  ) throws(MartletError) -> Target {
    var (path, indices) = (argument, Array(names.indices))
    let named = names.indices.filter { argument.hasPrefix(names[$0] + "=") }
    if let index = named.max(by: { names[$0].utf8.count < names[$1].utf8.count }) {
      path = String(argument.dropFirst(names[index].count + 1))
      indices = [index]
    } else if let equals = argument.firstIndex(of: "="), !argument[..<equals].contains("/") {
      let known = names.map { "'\($0)'" }.joined(separator: ", ")
      throw MartletError(
        .invalidArgument,
        "the model has no output '\(argument[..<equals])'; its outputs are \(known)",
        expected: known, actual: String(argument[..<equals]))
    }
    let base = path.split(separator: "/").last ?? ""
    let ending = base.contains(".") ? base.split(separator: ".").last.map { $0.lowercased() } : nil
    let guess = ending.flatMap { Form(rawValue: $0) }
    guard path == OpenFile.standard || form != nil || guess != nil else {
      throw MartletError(
        .invalidArgument, "--output \(argument): expected .npy, .npz, .csv or .json, or --format",
        expected: ".npy, .npz, .csv or .json", actual: path)
    }
    let chosen = form ?? guess ?? (indices.count == 1 ? .npy : .npz)
    guard chosen == .npz || chosen == .json || indices.count == 1 else {
      let known = names.map { "'\($0)'" }.joined(separator: ", ")
      throw MartletError(
        .invalidArgument,
        "--output \(argument): a file in \(chosen) takes one output, the model has \(names.count): name one of \(known), or write .npz",
        expected: "one output", actual: "\(names.count)")
    }
    return Target(path: path, form: chosen, indices: indices)
  }

  /// Throws `invalidArgument` where results that nobody can read would go to a terminal.
  func checkStandardOutput() throws(MartletError) {
    let binary = targets.first {
      $0.path == OpenFile.standard && ($0.form == .npy || $0.form == .npz)
    }
    guard let binary, isatty(STDOUT_FILENO) == 1 else { return }
    throw MartletError(
      .invalidArgument,
      "standard output is a terminal, which cannot show \(binary.form): add --format csv, or a file",
      expected: "a file or a pipe", actual: "a terminal")
  }

  /// Writes the results. Throws `io`, and `unsupported` for values that a form does not have.
  func write(_ results: [Value]) throws(MartletError) {
    if let folder {
      guard mkdir(folder, 0o777) == 0 || errno == EEXIST else {
        throw MartletError(.io, "cannot make \(folder): \(OpenFile.reason(errno))")
      }
    }
    for target in targets {
      let file = try OpenFile(writing: target.path)
      try write(target.indices.map { (names[$0], results[$0]) }, target.form, file)
      try file.close()
    }
  }

  /// The paths that output `index` is written to, for reports.
  func paths(of index: Int) -> [String] {
    targets.filter { $0.indices.contains(index) }.map(\.path)
  }

  private func write(
    _ values: [(name: String, value: Value)], _ form: Form, _ file: OpenFile
  ) throws(MartletError) {
    switch form {
    case .json:
      var members: [(String, JSON)] = []
      let writer = ValueText(isFull: true)
      for (name, value) in values { members.append((name, try writer.json(value))) }
      try file.write(Array((JSON.object(members).text + "\n").utf8))
    case .npy, .csv:
      for (name, value) in values {
        let tensor = try ResultFiles.tensor(value, name, form)
        if form == .npy {
          try NumPyFile.write(tensor, to: file)
        } else {
          try CSVFile.write(tensor, to: file)
        }
      }
    case .npz:
      var archive = ZIPArchive.Writer(file)
      for (name, value) in values {
        let tensor = try ResultFiles.tensor(value, name, form)
        try NumPyFile.withBytes(of: tensor, "output '\(name)'") {
          header, elements throws(MartletError) in
          try header.withTypedBytes { header throws(MartletError) in
            try archive.add(name + ".npy", [header, elements])
          }
        }
      }
      try archive.finish()
    }
  }

  private static func tensor(_ value: Value, _ name: String, _ form: Form) throws(MartletError)
    -> Tensor
  {
    guard let tensor = value.tensor else {
      throw MartletError(
        .unsupported,
        "output '\(name)' is \(value.summary), which \(form) has no form for; json has",
        expected: "a tensor", actual: value.summary)
    }
    return tensor
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
}

extension [UInt8] {
  /// `withUnsafeBytes` for a body that throws errors of Martlet.
  fileprivate func withTypedBytes(
    _ body: (UnsafeRawBufferPointer) throws(MartletError) -> Void
  ) throws(MartletError) {
    var failure: MartletError?
    withUnsafeBytes { bytes in
      do throws(MartletError) { try body(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
