import MartletCore

/// The instructions of a regular expression, each with the places to go on at.
struct RegularExpressionProgram: Sendable {
  struct Instruction: Sendable {
    enum Kind: UInt8, Sendable {
      /// Reads the character `operand`.
      case scalar
      /// Reads one character of the set `operand`.
      case set
      /// Goes on at `next` and at `operand`.
      case split
      /// Goes on where the `Assertion` of raw value `operand` holds.
      case assertion
      /// Goes on at `next`; not in a finished program.
      case jump
      /// The pattern's end.
      case match
    }

    var kind: Kind
    var operand: UInt32
    /// Where to go on; while the program is built, relative to the instruction itself.
    var next: Int32
  }

  /// What holds at a place between two characters.
  enum Assertion: UInt32, Sendable {
    case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
  }

  let instructions: [Instruction]
  let sets: [ScalarSet]
  /// Where to begin.
  let start: Int
  let hasAssertions: Bool
}

/// Writes a program from left to right: a part of the pattern is a run of instructions that is
/// entered at its first and left behind its last, and holds no address outside, so that parts stand
/// one after the other and may be repeated by copying.
struct RegularExpressionBuilder {
  private typealias Instruction = RegularExpressionProgram.Instruction

  private var code: [Instruction] = []
  private var sets: [ScalarSet] = []

  /// Where the next part begins.
  var end: Int { code.count }

  mutating func emitScalar(_ scalar: UInt32) throws(MartletError) {
    try append(Instruction(kind: .scalar, operand: scalar, next: 1))
  }

  /// `set` in order and without overlaps.
  mutating func emitSet(_ set: ScalarSet) throws(MartletError) {
    sets.append(set)
    try append(Instruction(kind: .set, operand: UInt32(sets.count - 1), next: 1))
  }

  mutating func emitAssertion(
    _ assertion: RegularExpressionProgram.Assertion
  ) throws(MartletError) {
    try append(Instruction(kind: .assertion, operand: assertion.rawValue, next: 1))
  }

  /// Room for a split, which does nothing until there is one.
  mutating func emitSlot() throws(MartletError) {
    try append(Instruction(kind: .jump, operand: 0, next: 1))
  }

  /// A jump to where `land` says later, linked to the one at `previous`.
  mutating func emitPendingJump(previous: Int?) throws(MartletError) {
    try append(Instruction(kind: .jump, operand: 0, next: Int32((previous ?? end) - end)))
  }

  /// Lets the linked jumps, of which `last` is the last, lead to the end.
  mutating func land(_ last: Int?) {
    var place = last
    while let jump = place {
      let link = Int(code[jump].next)
      code[jump].next = Int32(end - jump)
      place = link == 0 ? nil : jump + link
    }
  }

  /// Makes the slot a split to what follows it and to `other`.
  mutating func split(at slot: Int, or other: Int) {
    code[slot].kind = .split
    code[slot].operand = RegularExpressionBuilder.relative(other - slot)
  }

  /// Lets the part that begins at `start` be left out; `hasSlot`: its first instruction is a slot.
  mutating func makeOptional(_ start: Int, hasSlot: Bool) throws(MartletError) {
    if !hasSlot { try insertSlot(start) }
    split(at: start, or: end)
  }

  /// Lets the part that begins at `start` be repeated from its end.
  mutating func makeRepeated(_ start: Int) throws(MartletError) {
    try emitSlot()
    split(at: end - 1, or: start)
  }

  /// Lets the part that begins at `start` stand any number of times.
  mutating func makeStarred(_ start: Int, hasSlot: Bool) throws(MartletError) {
    if !hasSlot { try insertSlot(start) }
    try append(Instruction(kind: .jump, operand: 0, next: Int32(start - end)))
    split(at: start, or: end)
  }

  /// Lets the part that begins at `start` stand `least` to `most` times; nil: without bound.
  mutating func makeRepeated(_ start: Int, least: Int, most: Int?) throws(MartletError) {
    let part = Array(code[start...])
    // The count is known before anything is copied: both factors are small.
    guard (part.count + 1) * max(least, most ?? 0) <= RegularExpression.largestProgram - start
    else { throw RegularExpressionBuilder.tooLarge }
    code.removeSubrange(start...)
    for copy in 0..<(most ?? least) {
      if copy >= least, let most {
        try emitSlot()
        split(at: end - 1, or: end + (most - copy) * (part.count + 1) - 1)
      }
      code.append(contentsOf: part)
    }
    if most == nil { try makeRepeated(end - part.count) }
  }

  /// The program, its addresses absolute and free of jumps.
  mutating func finish() throws(MartletError) -> RegularExpressionProgram {
    try append(Instruction(kind: .match, operand: 0, next: 0))
    // Where each instruction really leads, from the last to the first: jumps lead on, or back to a
    // split.
    var real = Array(code.indices)
    for place in code.indices.reversed() where code[place].kind == .jump {
      real[place] = real[place + Int(code[place].next)]
    }
    var address = [Int](repeating: 0, count: code.count)
    var count = 0
    for place in code.indices where code[place].kind != .jump {
      address[place] = count
      count += 1
    }
    var instructions: [Instruction] = []
    instructions.reserveCapacity(count)
    var hasAssertions = false
    for (place, raw) in code.enumerated() where raw.kind != .jump {
      var instruction = raw
      instruction.next = Int32(address[real[place + Int(raw.next)]])
      if raw.kind == .split {
        let other = place + Int(Int32(bitPattern: raw.operand))
        instruction.operand = UInt32(address[real[other]])
      }
      hasAssertions = hasAssertions || raw.kind == .assertion
      instructions.append(instruction)
    }
    return RegularExpressionProgram(
      instructions: instructions, sets: sets, start: address[real[0]],
      hasAssertions: hasAssertions)
  }

  private mutating func append(_ instruction: Instruction) throws(MartletError) {
    guard code.count < RegularExpression.largestProgram else {
      throw RegularExpressionBuilder.tooLarge
    }
    code.append(instruction)
  }

  /// Moves the last part by one. Groups bring their slot, so that this moves one instruction, or one
  /// of the few counted repetitions that may stand in each other.
  private mutating func insertSlot(_ start: Int) throws(MartletError) {
    try emitSlot()
    code.insert(code.removeLast(), at: start)
  }

  private static func relative(_ distance: Int) -> UInt32 {
    UInt32(bitPattern: Int32(distance))
  }

  static let tooLarge = MartletError(
    .unsupported,
    "regular expression: more than \(RegularExpression.largestProgram) instructions",
    expected: "at most \(RegularExpression.largestProgram) instructions", actual: "more")
}
