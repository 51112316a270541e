import MartletCore
import MartletGraph
import MartletOperators

/// Numbers (or strings) as text: a row a line, between commas, semicolons, tabs or spaces.
///
/// Lines that begin with `#`, empty ones, and a first line in which nothing is a number are left out.
struct CSVFile {
  private let name: String
  private let rows: [(line: Int, cells: [Substring])]

  /// Splits text into cells. Throws `invalidModel` where rows are not equally long, and for what is no text.
  init(_ text: Storage, name: String) throws(MartletError) {
    self.name = name
    let bytes = UnsafeRawBufferPointer(start: text.base, count: text.byteCount)
    guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw MartletError(
        .invalidModel, "\(name): neither .npy, .npz nor text", expected: ".npy, .npz or .csv")
    }
    var rows: [(line: Int, cells: [Substring])] = []
    var separator: Character?
    for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .enumerated()
    {
      let line = CSVFile.trimmed(raw)
      if line.isEmpty || line.hasPrefix("#") { continue }
      let mark = separator ?? CSVFile.separator(of: line)
      separator = mark
      rows.append((index + 1, try CSVFile.cells(line, mark, name, index + 1)))
    }
    if let first = rows.first, rows.count > 1,
      first.cells.allSatisfy({ CSVFile.number($0) == nil }),
      rows[1].cells.contains(where: { CSVFile.number($0) != nil })
    {
      rows.removeFirst()
    }
    guard let first = rows.first else {
      throw MartletError(.invalidModel, "\(name): there are no numbers in it")
    }
    if let other = rows.first(where: { $0.cells.count != first.cells.count }) {
      throw MartletError(
        .invalidModel,
        "\(name): line \(other.line) has \(other.cells.count) values, line \(first.line) has \(first.cells.count)",
        expected: "\(first.cells.count) values", actual: "\(other.cells.count)")
    }
    self.rows = rows
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0.isWhitespace || $0 == "\u{FEFF}" }
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }

  private static func separator(of line: Substring) -> Character {
    [",", ";", "\t"].first { line.contains($0) } ?? " "
  }

  /// The cells of a line; those in double quotes may hold the separator.
  private static func cells(
    _ line: Substring, _ separator: Character, _ name: String, _ number: Int
  ) throws(MartletError) -> [Substring] {
    guard line.contains("\"") else {
      return line.split(separator: separator, omittingEmptySubsequences: separator == " ")
        .map(trimmed)
    }
    var cells: [Substring] = []
    var cell = ""
    var (isQuoted, wasQuote) = (false, false)
    for character in line {
      if character == "\"" {
        // A quote within quotes is written twice.
        if !isQuoted, wasQuote { cell.append(character) }
        isQuoted.toggle()
        wasQuote = !wasQuote && !isQuoted
      } else if character == separator, !isQuoted {
        cells.append(trimmed(Substring(cell)))
        (cell, wasQuote) = ("", false)
      } else {
        cell.append(character)
        wasQuote = false
      }
    }
    guard !isQuoted else {
      throw MartletError(.invalidModel, "\(name): line \(number): a quotation has no end")
    }
    return cells + [trimmed(Substring(cell))]
  }

  private static func number(_ cell: Substring) -> Double? {
    switch cell.lowercased() {
    case "true": 1
    case "false": 0
    default: Double(cell)
    }
  }

  /// The values for an input of this dtype (float32 where it is not known) and shape.
  ///
  /// Throws `invalidModel` for what is no number, and `invalidShape` where they do not fit.
  func tensor(_ dtype: DType?, _ shape: [Dimension]?) throws(MartletError) -> Tensor {
    let extents = try extents(shape)
    switch dtype ?? .float32 {
    case .string:
      return try Tensor(strings: rows.flatMap { $0.cells.map { String($0) } }, extents)
    case .float32:
      let tensor = try Tensor(uninitialized: .float32, extents)
      try forEach("a number") {
        Float($0) ?? CSVFile.number($0).map { Float($0) }
      } store: {
        tensor.typed(Float.self)[$0] = $1
      }
      return tensor
    case .uint64:
      let tensor = try Tensor(uninitialized: .uint64, extents)
      try forEach("a whole number from 0 on") {
        UInt64($0)
      } store: {
        tensor.typed(UInt64.self)[$0] = $1
      }
      return tensor
    case let dtype where dtype.isFloatingPoint:
      let tensor = try Tensor(uninitialized: .float64, extents)
      try forEach("a number", CSVFile.number) { tensor.typed(Double.self)[$0] = $1 }
      return try tensor.cast(to: dtype)
    case let dtype:
      let tensor = try Tensor(uninitialized: .int64, extents)
      let limits = CSVFile.limits(of: dtype)
      let expected = "a whole number from \(limits.lowerBound) to \(limits.upperBound)"
      try forEach("\(expected), for \(dtype)") { cell in
        // 3.0 is whole too.
        guard let value = Int64(cell) ?? CSVFile.number(cell).flatMap({ Int64(exactly: $0) }),
          limits.contains(value)
        else { return nil }
        return value
      } store: {
        tensor.typed(Int64.self)[$0] = $1
      }
      return dtype == .int64 ? tensor : try tensor.cast(to: dtype)
    }
  }

  private static func limits(of dtype: DType) -> ClosedRange<Int64> {
    let bits = Int64(dtype == .bool ? 1 : dtype.bitWidth)
    if bits >= 64 { return .min ... .max }
    return dtype.isSignedInteger ? -(1 << (bits - 1))...(1 << (bits - 1)) - 1 : 0...(1 << bits) - 1
  }

  private func forEach<T>(
    _ expected: String, _ value: (Substring) -> T?, store: (Int, T) -> Void
  ) throws(MartletError) {
    var index = 0
    for row in rows {
      for (column, cell) in row.cells.enumerated() {
        guard let value = value(cell) else {
          throw MartletError(
            .invalidModel,
            "\(name): line \(row.line), value \(column + 1): '\(cell)' is not \(expected)",
            expected: expected, actual: String(cell))
        }
        store(index, value)
        index += 1
      }
    }
  }

  /// The extents that these rows fill: those of `shape`, its first free one the number of rows.
  private func extents(_ shape: [Dimension]?) throws(MartletError) -> [Int] {
    let columns = rows[0].cells.count
    let count = rows.count * columns
    guard let shape else { return [rows.count, columns] }
    var extents = shape.map { dimension in
      if case .known(let extent) = dimension { extent } else { -1 }
    }
    func product() -> Int {
      extents.reduce(1) { $1 < 0 ? $0 : $0.multipliedReportingOverflow(by: $1).partialValue }
    }
    if extents.first == -1, extents.count > 1 { extents[0] = rows.count }
    if let free = extents.firstIndex(of: -1), extents.filter({ $0 < 0 }).count == 1 {
      let rest = product()
      extents[free] = rest > 0 && count % rest == 0 ? count / rest : -1
    } else if extents.count == 2, extents[1] == -1 {
      extents[1] = columns
    }
    guard !extents.contains(where: { $0 < 0 }), product() == count else {
      let wanted = "[" + shape.map(\.description).joined(separator: ", ") + "]"
      throw MartletError(
        .invalidShape,
        "\(name): \(rows.count) rows of \(columns) values do not fill a shape of \(wanted)",
        expected: wanted, actual: "\(rows.count) rows of \(columns)")
    }
    return extents
  }

  // MARK: - Writing

  /// Writes a row a line: the first axis down, all others across. Throws `unsupported` for what is no
  /// tensor.
  static func write(_ tensor: Tensor, to file: OpenFile) throws(MartletError) {
    let elements = try Elements(tensor)
    let columns = tensor.rank < 2 ? 1 : tensor.count / max(tensor.shape[0], 1)
    var bytes: [UInt8] = []
    for index in 0..<tensor.count {
      bytes += quoted(elements.text(index, isFull: true)).utf8
      bytes.append((index + 1) % columns == 0 ? 0x0A : 0x2C)
      if bytes.count > 1 << 16 {
        try file.write(bytes)
        bytes.removeAll(keepingCapacity: true)
      }
    }
    try file.write(bytes)
  }

  private static func quoted(_ text: String) -> String {
    guard text.contains(where: { ",\"\n\r;".contains($0) }) else { return text }
    return "\""
      + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
      + "\""
  }
}
