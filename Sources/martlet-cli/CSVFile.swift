import MartletCore
import MartletGraph
import MartletOperators

/// Numbers (or strings) as text: a row a line, between commas, semicolons, tabs or spaces.
///
/// Lines that begin with `#`, empty ones, and a first line in which nothing is a number are left out.
struct CSVFile {
  private let name: String
  private let text: Storage
  /// Where each row's cells begin in `cells`, and the line that it stands in.
  private var rows: [(line: Int, start: Int)] = []
  private var cells: [Cell] = []
  private var columns = 0

  /// A value as it stands in the text, or without its quotes.
  private enum Cell {
    case plain(start: Int, count: Int)
    case quoted(String)
  }

  /// Splits text into cells. Throws `invalidModel` where rows are not equally long, and for what is no
  /// text; `outOfMemory`.
  init(_ text: Storage, name: String) throws(MartletError) {
    self.name = name
    self.text = text
    let bytes = UnsafeRawBufferPointer(start: text.base, count: text.byteCount)
    guard !bytes.contains(0) else {
      throw MartletError(
        .invalidModel, "\(name): neither .npy, .npz nor text", expected: ".npy, .npz or .csv")
    }
    try MemoryReserve.checkRoom(text.byteCount)
    var separator: UInt8?
    var line = 0
    var position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    while position < bytes.count {
      let start = position
      while position < bytes.count, bytes[position] != 0x0A { position += 1 }
      line += 1
      let whole = CSVFile.trimmed(bytes, start..<position)
      position += 1
      if whole.isEmpty || bytes[whole.lowerBound] == 0x23 { continue }
      let mark =
        separator ?? [0x2C, 0x3B, 0x09].first { bytes[whole].contains($0) } ?? 0x20
      separator = mark
      try add(bytes, whole, mark, line)
    }
    if rows.count > 1, (0..<columns).allSatisfy({ number(cells[$0]) == nil }),
      (columns..<2 * columns).contains(where: { number(cells[$0]) != nil })
    {
      rows.removeFirst()
    }
    guard !rows.isEmpty else {
      throw MartletError(.invalidModel, "\(name): there are no numbers in it")
    }
  }

  private static func trimmed(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end, isSpace(bytes[start]) { start += 1 }
    while start < end, isSpace(bytes[end - 1]) { end -= 1 }
    return start..<end
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  /// Adds the cells of a line; those in double quotes may hold the separator.
  private mutating func add(
    _ bytes: UnsafeRawBufferPointer, _ line: Range<Int>, _ separator: UInt8, _ number: Int
  ) throws(MartletError) {
    try MemoryReserve.check()
    let first = cells.count
    var position = line.lowerBound
    while true {
      let start = position
      var (isQuoted, quotes) = (false, 0)
      while position < line.upperBound, isQuoted || bytes[position] != separator {
        if bytes[position] == 0x22 {
          isQuoted.toggle()
          quotes += 1
        }
        position += 1
      }
      guard !isQuoted else {
        throw MartletError(.invalidModel, "\(name): line \(number): a quotation has no end")
      }
      let cell = CSVFile.trimmed(bytes, start..<position)
      if quotes > 0 {
        cells.append(.quoted(CSVFile.unquoted(bytes[cell])))
      } else {
        cells.append(.plain(start: cell.lowerBound, count: cell.count))
      }
      if position >= line.upperBound { break }
      position += 1
      // Several spaces are one separator.
      while separator == 0x20, bytes[position] == 0x20 { position += 1 }
    }
    let count = cells.count - first
    if rows.isEmpty { columns = count }
    guard count == columns else {
      throw MartletError(
        .invalidModel,
        "\(name): line \(number) has \(count) values, line \(rows[0].line) has \(columns)",
        expected: "\(columns) values", actual: "\(count)")
    }
    rows.append((number, first))
  }

  /// The text without its quotes; two within quotes stand for one.
  private static func unquoted(_ bytes: UnsafeRawBufferPointer.SubSequence) -> String {
    var kept: [UInt8] = []
    var isQuoted = false
    for (index, byte) in bytes.enumerated() {
      guard byte == 0x22 else {
        kept.append(byte)
        continue
      }
      if !isQuoted, index > 0, bytes[bytes.startIndex + index - 1] == 0x22 { kept.append(byte) }
      isQuoted.toggle()
    }
    return String(decoding: kept, as: UTF8.self)
  }

  private func text(_ cell: Cell) -> String {
    switch cell {
    case .quoted(let text): text
    case .plain(let start, let count):
      String(
        decoding: UnsafeRawBufferPointer(start: text.base + start, count: count), as: UTF8.self)
    }
  }

  private func number(_ cell: Cell) -> Double? { CSVFile.number(text(cell)) }

  private static func number(_ text: String) -> Double? {
    switch text {
    case "true", "True", "TRUE": 1
    case "false", "False", "FALSE": 0
    default: Double(text)
    }
  }

  /// The values for an input of this dtype (float32 where it is not known) and shape.
  ///
  /// Throws `invalidModel` for what is no number, and `invalidShape` where they do not fit.
  func tensor(_ dtype: DType?, _ shape: [Dimension]?) throws(MartletError) -> Tensor {
    let extents = try extents(shape)
    switch dtype ?? .float32 {
    case .string:
      return try Tensor(
        strings: rows.flatMap { row in cells[row.start..<row.start + columns].map(text) }, extents)
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
    _ expected: String, _ value: (String) -> T?, store: (Int, T) -> Void
  ) throws(MartletError) {
    var index = 0
    for row in rows {
      for column in 0..<columns {
        let text = text(cells[row.start + column])
        guard let value = value(text) else {
          throw MartletError(
            .invalidModel,
            "\(name): line \(row.line), value \(column + 1): '\(text)' is not \(expected)",
            expected: expected, actual: text)
        }
        store(index, value)
        index += 1
      }
    }
  }

  /// The extents that these rows fill: those of `shape`, its first free one the number of rows.
  private func extents(_ shape: [Dimension]?) throws(MartletError) -> [Int] {
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
