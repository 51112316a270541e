import MartletCore

/// Classes in brackets, classes by name, and escapes.
extension RegularExpressionParser {
  /// `[…]`, from its bracket on.
  mutating func readClass() throws(MartletError) -> ScalarSet {
    let start = position
    position += 1
    let isNegated = peek(0) == "^"
    if isNegated { position += 1 }
    var set = ScalarSet()
    var isFirst = true
    while let next = peek(0), next != "]" || isFirst {
      isFirst = false
      let before = set.insertions
      if let named = try readPOSIXClass() {
        insert(named, &set)
      } else if let named = try readNamedClass() {
        for range in named.ranges { set.insert(range.first, range.last) }
      } else {
        try readRange(&set, start)
      }
      try charge(set, since: before)
    }
    guard position < pattern.count else { throw fault("missing ]", from: start) }
    position += 1
    if isNegated { return set.inverted() }
    set.sort()
    return set
  }

  /// One character, or two with a dash between them.
  private mutating func readRange(_ set: inout ScalarSet, _ start: Int) throws(MartletError) {
    let rangeStart = position
    let first = try readClassScalar()
    var last = first
    if peek(0) == "-", let next = peek(1), next != "]" {
      position += 1
      last = try readClassScalar()
    }
    guard first <= last else { throw fault("bad range of a class", from: rangeStart) }
    if flags.ignoresCase { set.insertFolded(first, last) } else { set.insert(first, last) }
  }

  private mutating func readClassScalar() throws(MartletError) -> UInt32 {
    peek(0) == "\\" ? try readEscape() : readScalar()
  }

  /// `[:alpha:]` or `[:^alpha:]` inside a class; nil where there is none.
  private mutating func readPOSIXClass() throws(MartletError) -> ScalarSet? {
    guard peek(0) == "[", peek(1) == ":" else { return nil }
    let start = position
    var end = position + 2
    while end + 1 < pattern.count, pattern[end] != 0x3A || pattern[end + 1] != 0x5D { end += 1 }
    guard end + 1 < pattern.count else { return nil }
    var name = String(decoding: pattern[(start + 2)..<end], as: UTF8.self)
    position = end + 2
    let isNegated = name.hasPrefix("^")
    if isNegated { name.removeFirst() }
    guard let ranges = RegularExpressionParser.posixClasses[name] else {
      throw fault("unknown class", from: start)
    }
    return fold(ScalarSet(ranges), isNegated: isNegated)
  }

  /// `\d`, `\D`, `\s`, `\S`, `\w`, `\W`, `\pN`, `\p{Greek}`, `\P{^Lu}`; nil where there is none.
  mutating func readNamedClass() throws(MartletError) -> ScalarSet? {
    guard peek(0) == "\\" else { return nil }
    let start = position
    let ranges: [ClosedRange<UInt32>]
    switch peek(1) {
    case "d", "D": ranges = [0x30...0x39]
    case "s", "S": ranges = [0x09...0x0A, 0x0C...0x0D, 0x20...0x20]
    case "w", "W": ranges = [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A]
    case "p", "P":
      guard peek(2) != nil else { return nil }
      let isNegated = peek(1) == "P"
      position += 2
      return try readUnicodeClass(start, isNegated: isNegated)
    default: return nil
    }
    let isNegated = peek(1).map { $0.value < 0x61 } ?? false
    position += 2
    let set = fold(ScalarSet(ranges), isNegated: isNegated)
    try charge(set, since: 0)
    return set
  }

  private mutating func readUnicodeClass(
    _ start: Int, isNegated: Bool
  ) throws(MartletError) -> ScalarSet {
    var nameStart = position
    var nameEnd: Int
    if peek(0) == "{" {
      nameStart += 1
      guard let brace = pattern[nameStart...].firstIndex(of: 0x7D) else {
        position = pattern.count
        throw fault("missing } of a class", from: start)
      }
      nameEnd = brace
      position = brace + 1
    } else {
      _ = readScalar()
      nameEnd = position
    }
    var isNegated = isNegated
    if nameStart < nameEnd, pattern[nameStart] == 0x5E {
      isNegated.toggle()
      nameStart += 1
    }
    let name = String(decoding: pattern[nameStart..<nameEnd], as: UTF8.self)
    guard let found = UnicodeClasses.set(named: name) else {
      throw fault("unknown class of Unicode", from: start)
    }
    let set = fold(found, isNegated: isNegated)
    try charge(set, since: 0)
    return set
  }

  /// The class with all cases of its letters where case is ignored, sorted, and then its opposite.
  private func fold(_ set: ScalarSet, isNegated: Bool) -> ScalarSet {
    var result = set
    if flags.ignoresCase {
      for range in set.ranges { result.insertFolded(range.first, range.last) }
    }
    if isNegated { return result.inverted() }
    result.sort()
    return result
  }

  private func insert(_ other: ScalarSet, _ set: inout ScalarSet) {
    for range in other.ranges { set.insert(range.first, range.last) }
  }

  /// One character that is written with a backslash.
  mutating func readEscape() throws(MartletError) -> UInt32 {
    let start = position
    position += 1
    guard let kind = peek(0) else { throw fault("trailing \\", from: start) }
    switch kind {
    case "0"..."7":
      // A digit alone would be a backreference.
      if kind != "0", !isOctal(1) { break }
      var code: UInt32 = 0
      for _ in 0..<3 where isOctal(0) {
        code = code * 8 + UInt32(pattern[position]) - 0x30
        position += 1
      }
      return code
    case "x":
      position += 1
      if let code = readHexadecimal() { return code }
      throw fault("bad escape", from: start)
    case "n": return simpleEscape(0x0A)
    case "r": return simpleEscape(0x0D)
    case "t": return simpleEscape(0x09)
    case "a": return simpleEscape(0x07)
    case "f": return simpleEscape(0x0C)
    case "v": return simpleEscape(0x0B)
    case "0"..."9", "A"..."Z", "a"..."z": break
    default: if kind.value < 0x80 { return simpleEscape(kind.value) }
    }
    _ = readScalar()
    let isReference = kind.value >= 0x31 && kind.value <= 0x39
    throw fault(
      isReference ? "backreferences are not in RE2's syntax" : "bad escape", from: start)
  }

  private mutating func simpleEscape(_ scalar: UInt32) -> UInt32 {
    position += 1
    return scalar
  }

  private func isOctal(_ offset: Int) -> Bool {
    if let digit = peek(offset), digit >= "0", digit <= "7" { true } else { false }
  }

  /// Two digits, or any number in braces; nil for others.
  private mutating func readHexadecimal() -> UInt32? {
    guard peek(0) == "{" else {
      guard let high = readHexDigit(), let low = readHexDigit() else { return nil }
      return high * 16 + low
    }
    position += 1
    guard var code = readHexDigit() else { return nil }
    while let digit = readHexDigit() {
      code = code * 16 + digit
      if code > ScalarSet.largest { return nil }
    }
    guard peek(0) == "}" else { return nil }
    position += 1
    return code
  }

  private mutating func readHexDigit() -> UInt32? {
    guard let value = peek(0)?.value else { return nil }
    let digit: UInt32
    switch value {
    case 0x30...0x39: digit = value - 0x30
    case 0x41...0x46: digit = value - 0x41 + 10
    case 0x61...0x66: digit = value - 0x61 + 10
    default: return nil
    }
    position += 1
    return digit
  }

  private static let posixClasses: [String: [ClosedRange<UInt32>]] = [
    "alnum": [0x30...0x39, 0x41...0x5A, 0x61...0x7A],
    "alpha": [0x41...0x5A, 0x61...0x7A],
    "ascii": [0...0x7F],
    "blank": [0x09...0x09, 0x20...0x20],
    "cntrl": [0...0x1F, 0x7F...0x7F],
    "digit": [0x30...0x39],
    "graph": [0x21...0x7E],
    "lower": [0x61...0x7A],
    "print": [0x20...0x7E],
    "punct": [0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E],
    "space": [0x09...0x0D, 0x20...0x20],
    "upper": [0x41...0x5A],
    "word": [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A],
    "xdigit": [0x30...0x39, 0x41...0x46, 0x61...0x66],
  ]
}
