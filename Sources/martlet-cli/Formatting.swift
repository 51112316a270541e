import Glibc

/// A value of JSON, written without any library.
indirect enum JSON {
  case null
  case bool(Bool)
  case int(Int)
  case number(Double)
  case string(String)
  case array([JSON])
  /// Text that is JSON already, written in one line.
  case literal(String)
  /// Members in the order of writing.
  case object([(String, JSON)])

  /// The text, indented by two spaces a level.
  var text: String { text(indent: "") }

  private func text(indent: String) -> String {
    let inner = indent + "  "
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return "\(value)"
    case .number(let value): return value.isFinite ? "\(value)" : "null"
    case .string(let value): return JSON.quoted(value)
    case .literal(let text): return text
    case .array(let values):
      if values.isEmpty { return "[]" }
      let lines = values.map { inner + $0.text(indent: inner) }
      return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
    case .object(let members):
      if members.isEmpty { return "{}" }
      let lines = members.map { "\(inner)\(JSON.quoted($0.0)): \($0.1.text(indent: inner))" }
      return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
    }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  static func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }
  static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
}

/// Rows of cells, written in columns, for standard output.
struct TextTable {
  private var rows: [[String]]
  private let numeric: Range<Int>
  /// How cells of these texts stand out on a terminal.
  var styles: [String: Style] = [:]

  /// The columns `numeric` are flush right.
  init(_ header: [String], numeric: Range<Int> = 0..<0) {
    rows = [header]
    self.numeric = numeric
  }

  mutating func add(_ row: [String]) { rows.append(row) }

  var text: String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    let lines = rows.enumerated().map { index, row in
      var line = ""
      var gap = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        let style = index == 0 ? Style.heading : styles[cell]
        let text = style?.on(STDOUT_FILENO, cell) ?? cell
        if numeric.contains(column) { gap += padding }
        // Space is written before what follows it, so that no line ends with it.
        if !cell.isEmpty {
          line += gap + text
          gap = ""
        }
        gap += (numeric.contains(column) ? "" : padding) + "  "
      }
      return line
    }
    return lines.joined(separator: "\n")
  }
}

extension Double {
  /// The value with `digits` digits after the point.
  func fixed(_ digits: Int) -> String {
    guard isFinite, magnitude < 1e15 else { return "\(self)" }
    let scale = (0..<digits).reduce(1.0) { factor, _ in factor * 10 }
    let scaled = Int((magnitude * scale).rounded())
    let fraction = String(scaled % Int(scale))
    let sign = self < 0 && scaled != 0 ? "-" : ""
    let whole = "\(sign)\(scaled / Int(scale))"
    if digits == 0 { return whole }
    return whole + "." + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}

/// Times of repeated runs, in nanoseconds.
struct Latencies {
  private(set) var sorted: [Int64] = []

  mutating func add(_ nanoseconds: Int64) {
    let index = sorted.firstIndex { $0 > nanoseconds } ?? sorted.count
    sorted.insert(nanoseconds, at: index)
  }

  /// The time that `share` of the runs did not exceed, in milliseconds.
  func percentile(_ share: Double) -> Double {
    guard let last = sorted.indices.last else { return .nan }
    return Double(sorted[min(last, Int((Double(sorted.count) * share).rounded(.down)))]) / 1e6
  }

  var median: Double { percentile(0.5) }
}
