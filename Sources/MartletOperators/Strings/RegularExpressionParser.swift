import MartletCore

/// Reads a pattern from left to right and writes its program on the way; open groups are a list, so
/// that no pattern nests too deeply.
struct RegularExpressionParser {
  let pattern: [UInt8]
  var position = 0
  var flags = Flags()
  private var builder = RegularExpressionBuilder()
  private var groups: [Group] = []
  private var insertions = 0

  struct Flags {
    var ignoresCase = false
    var dotReadsNewline = false
    var isMultiline = false
  }

  /// The part of the pattern that a repetition operator would apply to.
  private struct Atom {
    var start: Int
    /// Whether its first instruction is free for a split.
    var hasSlot = false
    /// The repetition that it already is, where that is one of `*+?`.
    var repetition: Unicode.Scalar?
    /// The largest product of the counts of counted repetitions in each other.
    var count = 1
  }

  private struct Group {
    /// Where it begins in the pattern.
    let opened: Int
    /// Where it begins in the program: at a slot for its own repetition.
    let start: Int
    /// The slot before the alternative that is being read.
    var alternative: Int
    /// The last of the jumps from the ends of alternatives.
    var lastJump: Int?
    /// Those to return to.
    let flags: Flags
    var atom: Atom?
    var count = 1
  }

  init(_ pattern: [UInt8]) { self.pattern = pattern }

  mutating func parse() throws(MartletError) -> RegularExpressionProgram {
    try open(at: 0)
    var repetition: Int?
    while position < pattern.count {
      let start = position
      let repetitionBefore = repetition
      repetition = nil
      switch peek(0) {
      case "(": try readGroup()
      case ")":
        guard groups.count > 1 else { throw fault("unexpected )", from: start) }
        position += 1
        close()
      case "|":
        position += 1
        try alternate()
      case "^":
        position += 1
        try add(.assertion(flags.isMultiline ? .lineStart : .textStart))
      case "$":
        position += 1
        try add(.assertion(flags.isMultiline ? .lineEnd : .textEnd))
      case ".":
        position += 1
        try add(.set(flags.dotReadsNewline ? .any : .anyButNewline))
      case "[": try add(.set(try readClass()))
      case "*", "+", "?", "{":
        guard let counts = readRepetition() else {
          position += 1
          try add(.scalar(0x7B))
          continue
        }
        if peek(0) == "?" { position += 1 }
        if let repetitionBefore {
          throw fault("bad repetition operator", from: repetitionBefore)
        }
        try repeatAtom(counts, start)
        repetition = start
      case "\\": try readEscaped()
      default: try addLiteral(readScalar())
      }
    }
    if let group = groups.last, groups.count > 1 {
      throw fault("missing )", from: group.opened)
    }
    close()
    return try builder.finish()
  }
}

// MARK: - Reading

extension RegularExpressionParser {
  /// The byte `offset` from here; nil behind the pattern's end. Bytes above ASCII are never asked for.
  func peek(_ offset: Int) -> Unicode.Scalar? {
    let place = position + offset
    return place < pattern.count ? Unicode.Scalar(pattern[place]) : nil
  }

  /// The next character.
  mutating func readScalar() -> UInt32 {
    let (scalar, width) = RegularExpressionMatcher.scalar(pattern, position)
    position += width
    return scalar ?? 0
  }

  func fault(_ what: String, from start: Int) -> MartletError {
    let excerpt = String(decoding: pattern[start..<min(position, start + 60)], as: UTF8.self)
    let place = excerpt.isEmpty ? "" : ": \(excerpt)"
    return MartletError(
      .invalidArgument, "regular expression: \(what) at byte \(start)\(place)",
      expected: "RE2's syntax", actual: excerpt)
  }

  /// What stands inside `\Q` and `\E`, `\A`, `\z`, `\b`, `\B`, a class or one character.
  private mutating func readEscaped() throws(MartletError) {
    let start = position
    switch peek(1) {
    case "b", "B", "A", "z":
      let assertion: RegularExpressionProgram.Assertion =
        switch peek(1) {
        case "b": .wordBoundary
        case "B": .noWordBoundary
        case "A": .textStart
        default: .textEnd
        }
      position += 2
      try add(.assertion(assertion))
    case "C":
      position += 2
      throw fault("\\C reads a byte and may stand inside a character: unsupported", from: start)
    case "Q":
      position += 2
      while position < pattern.count {
        if peek(0) == "\\", peek(1) == "E" {
          position += 2
          break
        }
        try addLiteral(readScalar())
      }
    default:
      if let set = try readNamedClass() {
        try add(.set(set))
      } else {
        try addLiteral(try readEscape())
      }
    }
  }

  /// `*`, `+`, `?` or `{n}`, `{n,}`, `{n,m}`; nil where a brace is only a brace.
  private mutating func readRepetition() -> (least: Int, most: Int?)? {
    let start = position
    let kind = peek(0)
    position += 1
    switch kind {
    case "*": return (0, nil)
    case "+": return (1, nil)
    case "?": return (0, 1)
    default: break
    }
    if let least = readCount() {
      if peek(0) == "}" {
        position += 1
        return (least, least)
      }
      if peek(0) == "," {
        position += 1
        if peek(0) == "}" {
          position += 1
          return (least, nil)
        }
        if let most = readCount(), peek(0) == "}" {
          position += 1
          return (least, most)
        }
      }
    }
    position = start
    return nil
  }

  /// Digits without a leading zero, below 100,000,000.
  private mutating func readCount() -> Int? {
    guard let first = digit else { return nil }
    position += 1
    var count = first
    while let next = digit {
      guard count != 0 || first != 0, count < 100_000_000 else { return nil }
      count = count * 10 + next
      position += 1
    }
    return count
  }

  private var digit: Int? {
    guard position < pattern.count, case 0x30...0x39 = pattern[position] else { return nil }
    return Int(pattern[position]) - 0x30
  }

  /// A group's opening, or flags: `(`, `(?:`, `(?P<name>`, `(?<name>`, `(?i)`, `(?i-s:`.
  private mutating func readGroup() throws(MartletError) {
    let start = position
    guard peek(1) == "?" else {
      position += 1
      return try open(at: start)
    }
    let behind = peek(2) == "<" ? 3 : 2
    if peek(behind) == "=" || peek(behind) == "!" {
      position += behind + 1
      throw fault("look-around is not in RE2's syntax", from: start)
    }
    if peek(2) == "<" || peek(2) == "P" && peek(3) == "<" {
      return try readNamedGroup()
    }
    position += 2
    var new = flags
    var isOff = false
    var isFlagMissing = false
    while let letter = peek(0) {
      position += 1
      switch letter {
      case "i": new.ignoresCase = !isOff
      case "m": new.isMultiline = !isOff
      case "s": new.dotReadsNewline = !isOff
      // Which of several matches is found is of no concern here.
      case "U": break
      case "-" where !isOff:
        isOff = true
        isFlagMissing = true
        continue
      case ":" where !isFlagMissing:
        try open(at: start)
        flags = new
        return
      case ")" where !isFlagMissing:
        flags = new
        return
      default: throw fault("bad flags or group", from: start)
      }
      isFlagMissing = false
    }
    throw fault("bad flags or group", from: start)
  }

  private mutating func readNamedGroup() throws(MartletError) {
    let start = position
    position += peek(2) == "<" ? 3 : 4
    let nameStart = position
    while position < pattern.count, peek(0) != ">" {
      let scalar = readScalar()
      guard Unicode.Scalar(scalar).map(RegularExpressionParser.isNameCharacter) ?? false else {
        throw fault("bad name of a group", from: start)
      }
    }
    guard position < pattern.count, position > nameStart else {
      throw fault("bad name of a group", from: start)
    }
    position += 1
    try open(at: start)
  }

  private static func isNameCharacter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .letterNumber, .nonspacingMark, .spacingMark, .decimalNumber, .connectorPunctuation:
      true
    default: false
    }
  }
}

// MARK: - Writing

extension RegularExpressionParser {
  private enum Element {
    case scalar(UInt32)
    case set(ScalarSet)
    case assertion(RegularExpressionProgram.Assertion)
  }

  private var top: Group {
    get { groups[groups.count - 1] }
    set { groups[groups.count - 1] = newValue }
  }

  private mutating func add(_ element: Element) throws(MartletError) {
    top.atom = Atom(start: builder.end)
    switch element {
    case .scalar(let scalar): try builder.emitScalar(scalar)
    case .set(let set): try builder.emitSet(set)
    case .assertion(let assertion): try builder.emitAssertion(assertion)
    }
  }

  private mutating func addLiteral(_ scalar: UInt32) throws(MartletError) {
    let cases = flags.ignoresCase ? CaseFolding.cases(scalar) : []
    if cases.isEmpty {
      try add(.scalar(scalar))
    } else {
      try add(.set(ScalarSet(cases.map { $0...$0 })))
    }
  }

  private mutating func open(at start: Int) throws(MartletError) {
    let slot = builder.end
    groups.append(Group(opened: start, start: slot, alternative: slot + 1, flags: flags))
    try builder.emitSlot()
    try builder.emitSlot()
  }

  private mutating func alternate() throws(MartletError) {
    let jump = builder.end
    try builder.emitPendingJump(previous: top.lastJump)
    try builder.emitSlot()
    builder.split(at: top.alternative, or: jump + 1)
    top.alternative = jump + 1
    top.lastJump = jump
    top.atom = nil
  }

  /// Ends the group that was opened last; it becomes an atom of the one around it, if there is one.
  private mutating func close() {
    guard let group = groups.popLast() else { return }
    builder.land(group.lastJump)
    flags = group.flags
    guard !groups.isEmpty else { return }
    top.atom = Atom(start: group.start, hasSlot: true, count: group.count)
    top.count = max(top.count, group.count)
  }

  private mutating func repeatAtom(
    _ counts: (least: Int, most: Int?), _ start: Int
  ) throws(MartletError) {
    let (least, most) = counts
    guard max(least, most ?? least) <= 1000, least <= most ?? least else {
      throw fault("bad repetition count (at most 1000, in order)", from: start)
    }
    guard var atom = top.atom else { throw fault("nothing to repeat", from: start) }
    if least >= 2 || most ?? 0 >= 2 {
      atom.count *= max(most ?? least, 1)
      guard atom.count <= 1000 else {
        throw fault("repetitions in each other of more than 1000 in all", from: start)
      }
    }
    switch (least, most) {
    case (1, 1): break
    case (0, nil): try repeatSimply(&atom, "*")
    case (1, nil): try repeatSimply(&atom, "+")
    case (0, 1): try repeatSimply(&atom, "?")
    default:
      try builder.makeRepeated(atom.start, least: least, most: most)
      atom = Atom(start: atom.start, count: atom.count)
    }
    top.atom = atom
    top.count = max(top.count, atom.count)
  }

  /// One of `*+?`; of two on one atom, `*` is what both together are unless they are the same.
  private mutating func repeatSimply(
    _ atom: inout Atom, _ new: Unicode.Scalar
  ) throws(MartletError) {
    switch (atom.repetition, new) {
    case ("*", _), ("+", "+"), ("?", "?"): return
    case ("+", _):
      try builder.makeOptional(atom.start, hasSlot: atom.hasSlot)
      atom.hasSlot = false
      atom.repetition = "*"
    case (_, "+"):
      try builder.makeRepeated(atom.start)
      atom.repetition = atom.repetition == nil ? "+" : "*"
    case ("?", _):
      try builder.makeRepeated(atom.start)
      atom.repetition = "*"
    case (_, "?"):
      try builder.makeOptional(atom.start, hasSlot: atom.hasSlot)
      atom.hasSlot = false
      atom.repetition = "?"
    default:
      try builder.makeStarred(atom.start, hasSlot: atom.hasSlot)
      atom.hasSlot = false
      atom.repetition = "*"
    }
  }

  /// Counts what the classes cost.
  mutating func charge(_ set: ScalarSet, since before: Int) throws(MartletError) {
    insertions += set.insertions - before
    guard insertions <= RegularExpression.mostRanges else {
      throw MartletError(
        .unsupported,
        "regular expression: its classes name more than \(RegularExpression.mostRanges) ranges",
        expected: "at most \(RegularExpression.mostRanges) ranges", actual: "more")
    }
  }
}
