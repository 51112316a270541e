import MartletCore
import MartletOperators

/// A place in one line of text, moving forward.
struct TextCursor {
  private let scalars: [Unicode.Scalar]
  /// From 1 on.
  private let line: Int
  private var position = 0

  init(_ scalars: [Unicode.Scalar], line: Int) {
    self.scalars = scalars
    self.line = line
  }

  /// Spaces at the start of the line.
  var indent: Int { scalars.prefix { $0 == " " }.count }
  var isBlank: Bool { scalars.allSatisfy { $0 == " " || $0 == "\r" } }

  /// The next character that is no space, or nil at the end of the line.
  mutating func peek() -> Unicode.Scalar? {
    while position < scalars.count, scalars[position] == " " || scalars[position] == "\r" {
      position += 1
    }
    return position < scalars.count ? scalars[position] : nil
  }

  func error(_ expected: String) -> MartletError {
    let rest = String(String.UnicodeScalarView(scalars.dropFirst(position).prefix(24)))
    let actual = rest.isEmpty ? "the end of the line" : "'\(rest)'"
    return MartletError(
      .invalidModel,
      "line \(line), column \(position + 1): expected \(expected), got \(actual)",
      expected: expected, actual: actual)
  }

  // MARK: - Tokens

  /// Whether `text` comes next, which is then passed.
  mutating func skip(_ text: String) -> Bool {
    _ = peek()
    let wanted = Array(text.unicodeScalars)
    guard position + wanted.count <= scalars.count,
      scalars[position..<position + wanted.count].elementsEqual(wanted)
    else { return false }
    position += wanted.count
    return true
  }

  mutating func expect(_ text: String) throws(MartletError) {
    guard skip(text) else { throw error("'\(text)'") }
  }

  mutating func expectEnd() throws(MartletError) {
    guard peek() == nil else { throw error("the end of the line") }
  }

  /// The longest run of characters for which `isPart` holds.
  private mutating func run(_ isPart: (Unicode.Scalar) -> Bool) -> String {
    var text = String.UnicodeScalarView()
    while position < scalars.count, isPart(scalars[position]) {
      text.append(scalars[position])
      position += 1
    }
    return String(text)
  }

  /// The plain word that comes next, or nil.
  mutating func word() -> String? {
    guard let next = peek(), GraphSyntax.isNameStart(next) else { return nil }
    return run(GraphSyntax.isNamePart)
  }

  /// A plain word or a text in quotes.
  mutating func name(_ what: String) throws(MartletError) -> String {
    if let word = word() { return word }
    guard peek() == "\"" else { throw error(what) }
    return try quoted(what)
  }

  /// An operator as `GraphSyntax.text` writes it.
  mutating func op() throws(MartletError) -> OperatorID {
    let what = "an operator"
    _ = peek()
    let before = self
    if let word = word() {
      guard let dot = word.lastIndex(of: ".") else { return OperatorID(word) }
      let name = String(word[word.index(after: dot)...])
      guard GraphSyntax.name(name) == name else { throw before.error(what) }
      return OperatorID(name, domain: String(word[..<dot]))
    }
    guard peek() == "\"" else { throw error(what) }
    let text = try quoted(what)
    return skip(".") ? OperatorID(try quoted(what), domain: text) : OperatorID(text)
  }

  mutating func quoted(_ what: String) throws(MartletError) -> String {
    guard skip("\"") else { throw error("\(what) in quotes") }
    var text = String.UnicodeScalarView()
    while position < scalars.count {
      let scalar = scalars[position]
      position += 1
      switch scalar {
      case "\"": return String(text)
      case "\\": text.append(try escaped())
      default: text.append(scalar)
      }
    }
    throw error("a closing '\"'")
  }

  private mutating func escaped() throws(MartletError) -> Unicode.Scalar {
    guard position < scalars.count else { throw error("an escaped character") }
    let scalar = scalars[position]
    position += 1
    switch scalar {
    case "\"", "\\": return scalar
    case "n": return "\n"
    case "t": return "\t"
    case "u":
      guard position < scalars.count, scalars[position] == "{" else { throw error("'{'") }
      position += 1
      let digits = run { $0 != "}" && $0 != "\"" }
      guard position < scalars.count, scalars[position] == "}",
        let value = UInt32(digits, radix: 16), let result = Unicode.Scalar(value)
      else { throw error("a character's number") }
      position += 1
      return result
    default:
      position -= 1
      throw error("n, t, u, a quote or a backslash")
    }
  }

  /// An integer or a float as it is written: `-12`, `1e-05`, `inf`, `nan(0x7fc00001)`.
  mutating func number(_ what: String) throws(MartletError) -> String {
    _ = peek()
    let start = position
    var text = skip("-") ? "-" : ""
    text += run { GraphSyntax.isNamePart($0) || $0 == "+" }
    // The sign of an exponent.
    if let last = text.unicodeScalars.last, last == "e", position < scalars.count,
      scalars[position] == "-"
    {
      position += 1
      text += "-" + run(GraphSyntax.isNamePart)
    }
    if text == "nan", position < scalars.count, scalars[position] == "(" {
      text += run { $0 != ")" }
      guard skip(")") else { throw error("')'") }
      text += ")"
    }
    guard !text.isEmpty, text != "-" else {
      position = start
      throw error(what)
    }
    return text
  }

  /// An integer, `isNegative` where a minus stood before it.
  mutating func integer<T: FixedWidthInteger>(
    _ what: String, as: T.Type = Int.self, isNegative: Bool = false
  ) throws(MartletError) -> T {
    let start = position
    guard let value = T((isNegative ? "-" : "") + (try number(what))) else {
      position = start
      _ = peek()
      throw error(what)
    }
    return value
  }

  /// Digits of bytes, two each, after `0x`.
  mutating func bytes() throws(MartletError) -> [UInt8] {
    try expect("0x")
    var bytes: [UInt8] = []
    while position + 1 < scalars.count, let high = hexDigit(position),
      let low = hexDigit(position + 1)
    {
      bytes.append(high << 4 | low)
      position += 2
    }
    return bytes
  }

  private func hexDigit(_ place: Int) -> UInt8? {
    switch scalars[place] {
    case "0"..."9": UInt8(scalars[place].value - 48)
    case "a"..."f": UInt8(scalars[place].value - 87)
    default: nil
    }
  }

  /// `open`, then items between commas, then `close`.
  mutating func list(
    _ open: String, _ close: String,
    _ item: (inout TextCursor) throws(MartletError) -> Void
  ) throws(MartletError) {
    try expect(open)
    if skip(close) { return }
    repeat { try item(&self) } while skip(",")
    try expect(close)
  }
}
