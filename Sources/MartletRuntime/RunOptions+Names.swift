import MartletCore

extension RunOptions {
  /// An option that callers set by name and text.
  private struct Row: Sendable {
    let name: String
    let set:
      @Sendable (_ options: inout RunOptions, _ value: OptionText) throws(MartletError) -> Void
  }

  /// All of them, one line each; martlet.h and the Python package say what they mean.
  private static let rows: [Row] = [
    Row(name: "winograd") { (options, value) throws(MartletError) in
      options.permitsWinograd = try value.flag()
    },
    Row(name: "max_loop_iterations") { (options, value) throws(MartletError) in
      options.maximumLoopIterations = try value.count()
    },
    Row(name: "max_memory_bytes") { (options, value) throws(MartletError) in
      options.maximumMemoryBytes = try value.count()
    },
    Row(name: "max_milliseconds") { (options, value) throws(MartletError) in
      options.maximumMilliseconds = try value.count()
    },
    Row(name: "flush_denormals") { (options, value) throws(MartletError) in
      options.flushesDenormals = try value.flag()
    },
  ]

  /// Sets an option by name. False where there is none of this name; throws `invalidArgument`, naming
  /// the option, for a value that it does not take.
  package mutating func set(_ option: OptionText) throws(MartletError) -> Bool {
    guard let row = RunOptions.rows.first(where: { $0.name == option.name }) else { return false }
    try row.set(&self, option)
    return true
  }

  /// The names that `set` knows.
  package static var names: [String] { rows.map(\.name) }
}

/// The text of an option, on its way to what it means.
package struct OptionText {
  package let name: String
  let text: String

  package init(name: String, text: String) {
    self.name = name
    self.text = text
  }

  /// 0 or 1.
  package func flag() throws(MartletError) -> Bool {
    switch text {
    case "0": return false
    case "1": return true
    default: throw fault("0 or 1")
    }
  }

  /// A number of things, 0 or more.
  func count() throws(MartletError) -> Int {
    guard let value = Int(text), value >= 0 else { throw fault("a whole number, 0 or more") }
    return value
  }

  /// An option that nobody knows, with those that there are.
  package static func unknown(_ name: String, known: [String]) -> MartletError {
    let list = known.joined(separator: ", ")
    return MartletError(
      .notFound, "unknown option '\(name)'; known: \(list)", input: name, expected: list,
      actual: name)
  }

  private func fault(_ expected: String) -> MartletError {
    MartletError(
      .invalidArgument, "option '\(name)' is '\(text)', expected \(expected)", input: name,
      expected: expected, actual: text)
  }
}
