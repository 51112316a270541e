import Glibc
import MartletCore
import MartletPlatform
import Synchronization

/// Choices that were timed, by instruction set, processor and shape; they go before the cost model.
///
/// The file is plain text: the line `martlet-tuning 1`, then one line per choice of the form
/// `gemm isa=avx2 processor="..." type=f32 m=1 n=4096 k=4096 matrices=1 threads=1 lhs=rows rhs=packed
/// route=stream kc=4096 mc=1 rows=1 columns=512 tile=6`. Empty lines and lines that begin with `#`
/// mean nothing. Choices for other processors stay in the table and are not used.
/// `MARTLET_TUNING=FILE` loads one before the first product.
package struct GEMMTuning: Sendable {
  package struct Key: Hashable, Sendable {
    package var isa: String
    package var processor: String
    package var shape: GEMMShape
  }

  package private(set) var choices: [Key: GEMMChoice] = [:]

  package init() {}

  package mutating func set(_ choice: GEMMChoice, for shape: GEMMShape, isa: String) {
    choices[Key(isa: isa, processor: GEMMTuning.processor, shape: shape)] = choice
  }

  // MARK: - In use

  /// The table in use; setting it takes effect for products that start from now on.
  package static var current: GEMMTuning {
    get { inUse.withLock { $0 } }
    set {
      inUse.withLock { $0 = newValue }
      state.store(newValue.choices.isEmpty ? State.empty : .filled, ordering: .releasing)
    }
  }

  /// Loads `path` and uses it.
  ///
  /// - Throws: as `init(path:)`.
  package static func load(path: String) throws(MartletError) {
    current = try GEMMTuning(path: path)
  }

  /// Whether the table in use is known to hold nothing.
  static var isEmpty: Bool { state.load(ordering: .acquiring) == .empty }

  static func choice(for shape: GEMMShape, isa: String) -> GEMMChoice? {
    switch state.load(ordering: .acquiring) {
    case .empty: return nil
    case .unread: readEnvironment()
    case .filled: break
    }
    return inUse.withLock { table in
      table.choices[Key(isa: isa, processor: processor, shape: shape)]
    }
  }

  private enum State: UInt8, AtomicRepresentable { case unread, empty, filled }
  private static let state = Atomic<State>(.unread)
  private static let inUse = Lock(GEMMTuning())
  private static let processor = plain(ISASelection.processorName)

  private static func readEnvironment() {
    var table = GEMMTuning()
    if let path = getenv("MARTLET_TUNING").map({ String(cString: $0) }), !path.isEmpty {
      do throws(MartletError) {
        table = try GEMMTuning(path: path)
      } catch {
        mp_warn("MARTLET_TUNING=\(path) is ignored: \(error.message)")
      }
    }
    // A table that was set meanwhile stays.
    inUse.withLock { if state.load(ordering: .relaxed) == .unread { $0 = table } }
    _ = state.compareExchange(
      expected: .unread, desired: table.choices.isEmpty ? .empty : .filled, ordering: .releasing)
  }

  private static func plain(_ name: String) -> String {
    String(decoding: name.utf8.map { $0 == 34 || $0 == 10 ? 39 : $0 }, as: UTF8.self)
  }

  // MARK: - The file

  private static let header = "martlet-tuning 1"

  /// The table as the file has it, its lines in order.
  package var text: String {
    let lines = choices.map { key, choice in
      let shape = key.shape
      return "gemm isa=\(key.isa) processor=\"\(key.processor)\""
        + " type=\(shape.type == .bfloat16 ? "bf16" : "f32") m=\(shape.m) n=\(shape.n) k=\(shape.k)"
        + " matrices=\(shape.matrices) threads=\(shape.threads) lhs=\(shape.lhs.rawValue)"
        + " rhs=\(shape.rhs.rawValue) route=\(choice.route.rawValue) kc=\(choice.kc)"
        + " mc=\(choice.mc) rows=\(choice.rows) columns=\(choice.columns) tile=\(choice.tileRows)"
    }
    return ([GEMMTuning.header] + lines.sorted()).joined(separator: "\n") + "\n"
  }

  /// Reads `path`.
  ///
  /// - Throws: `notFound`, `io`, and `invalidArgument` with the line of what is malformed.
  package init(path: String) throws(MartletError) {
    var status = stat()
    // Asked before opening: opening a named pipe would wait for its writer.
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      throw MartletError(.io, "tuning file \(path): it is not a regular file")
    }
    guard let file = fopen(path, "r") else {
      throw MartletError(
        errno == ENOENT ? .notFound : .io,
        "tuning file \(path): \(String(cString: strerror(errno)))")
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { break }
      bytes += buffer[..<count]
      guard bytes.count <= GEMMTuning.largestFile else {
        throw MartletError(.invalidArgument, "tuning file \(path): larger than 16 MiB")
      }
    }
    guard ferror(file) == 0 else {
      throw MartletError(.io, "tuning file \(path): cannot be read")
    }
    try self.init(text: String(decoding: bytes, as: UTF8.self), name: "tuning file \(path)")
  }

  private static let largestFile = 16 << 20

  /// Reads the text of a file; `name` goes into errors.
  ///
  /// - Throws: `invalidArgument` with the line of what is malformed.
  package init(text: String, name: String = "tuning file") throws(MartletError) {
    var isOpen = false
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      let line = line.last == "\r" ? line.dropLast() : line
      if line.isEmpty || line.first == "#" { continue }
      do throws(Malformed) {
        if isOpen {
          let (key, choice) = try GEMMTuning.parse(line)
          choices[key] = choice
        } else if line == GEMMTuning.header {
          isOpen = true
        } else {
          throw Malformed(expected: "'\(GEMMTuning.header)'", actual: Malformed.quoted(line))
        }
      } catch {
        throw MartletError(
          .invalidArgument,
          "\(name), line \(index + 1): expected \(error.expected), got \(error.actual)",
          expected: error.expected, actual: error.actual)
      }
    }
    guard isOpen else {
      throw MartletError(
        .invalidArgument, "\(name), line 1: expected '\(GEMMTuning.header)', got nothing",
        expected: GEMMTuning.header, actual: "nothing")
    }
  }

  /// Writes the table to `path`, first beside it, so that readers see the old file or the new one.
  ///
  /// - Throws: `io`.
  package func save(path: String) throws(MartletError) {
    let draft = "\(path).\(getpid()).tmp"
    func failure() -> MartletError {
      MartletError(.io, "tuning file \(path): \(String(cString: strerror(errno)))")
    }
    guard let file = fopen(draft, "w") else { throw failure() }
    let isWritten = fputs(text, file) >= 0
    guard fclose(file) == 0, isWritten, rename(draft, path) == 0 else {
      let error = failure()
      unlink(draft)
      throw error
    }
  }

  private struct Malformed: Error {
    var expected: String
    var actual: String

    /// The beginning of what a file says, fit for a terminal.
    static func quoted(_ text: some StringProtocol) -> String {
      let shown = text.unicodeScalars.prefix(40).map { (32..<127).contains($0.value) ? $0 : "?" }
      return "'\(String(String.UnicodeScalarView(shown)))'"
    }
  }

  private static let names = [
    "isa", "processor", "type", "m", "n", "k", "matrices", "threads", "lhs", "rhs", "route", "kc",
    "mc", "rows", "columns", "tile",
  ]

  private static func parse(_ line: Substring) throws(Malformed) -> (Key, GEMMChoice) {
    var rest = line.utf8[...]
    func word(_ isEnd: (UInt8) -> Bool) -> String {
      let end = rest.firstIndex(where: isEnd) ?? rest.endIndex
      defer { rest = rest[end...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }
    let kind = word { $0 == 32 }
    guard kind == "gemm" else {
      throw Malformed(expected: "'gemm'", actual: Malformed.quoted(kind))
    }
    var fields: [String: String] = [:]
    while !rest.isEmpty {
      if rest.first == 32 {
        rest = rest.dropFirst()
        continue
      }
      let name = word { $0 == 61 || $0 == 32 }
      guard rest.first == 61, names.contains(name), fields[name] == nil else {
        throw Malformed(
          expected: "one of \(names.filter { fields[$0] == nil }.joined(separator: ", ")) and '='",
          actual: Malformed.quoted(name))
      }
      rest = rest.dropFirst()
      if rest.first == 34 {
        rest = rest.dropFirst()
        fields[name] = word { $0 == 34 }
        guard rest.first == 34 else {
          throw Malformed(expected: "a closing quote of '\(name)'", actual: "the end of the line")
        }
        rest = rest.dropFirst()
      } else {
        fields[name] = word { $0 == 32 }
      }
    }
    func text(_ name: String) throws(Malformed) -> String {
      guard let value = fields[name] else {
        throw Malformed(expected: "'\(name)='", actual: "no such field")
      }
      return value
    }
    func number(_ name: String) throws(Malformed) -> Int {
      let value = try text(name)
      guard let number = Int(value), (1...1 << 40).contains(number) else {
        throw Malformed(expected: "\(name) from 1 to \(1 << 40)", actual: Malformed.quoted(value))
      }
      return number
    }
    func one<Value: CaseIterable & RawRepresentable>(
      of _: Value.Type, _ name: String
    ) throws(Malformed) -> Value where Value.RawValue == String {
      let value = try text(name)
      guard let result = Value(rawValue: value) else {
        let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
        throw Malformed(expected: "\(name) one of \(known)", actual: Malformed.quoted(value))
      }
      return result
    }
    let type = try text("type")
    guard type == "f32" || type == "bf16" else {
      throw Malformed(expected: "type one of f32, bf16", actual: Malformed.quoted(type))
    }
    let shape = GEMMShape(
      m: try number("m"), n: try number("n"), k: try number("k"),
      matrices: try number("matrices"), threads: try number("threads"),
      type: type == "f32" ? .float32 : .bfloat16, lhs: try one(of: GEMMShape.Form.self, "lhs"),
      rhs: try one(of: GEMMShape.Form.self, "rhs"))
    let choice = GEMMChoice(
      route: try one(of: GEMMChoice.Route.self, "route"), kc: try number("kc"),
      mc: try number("mc"), rows: try number("rows"), columns: try number("columns"),
      tileRows: try number("tile"))
    return (Key(isa: try text("isa"), processor: try text("processor"), shape: shape), choice)
  }
}
