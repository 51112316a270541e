/// Follows a program through texts; keeps its memory from one text to the next.
package struct RegularExpressionMatcher {
  private let program: RegularExpressionProgram
  /// The instructions that read a character, or the end, and are waiting at the current place.
  private var waiting: [Int32] = []
  private var upcoming: [Int32] = []
  /// For each instruction the last place that it was reached at; places count on over all texts.
  private var reached: [Int]
  private var place = 0
  private var stack: [Int32] = []

  package init(_ expression: RegularExpression) {
    program = expression.program
    reached = Array(repeating: 0, count: program.instructions.count)
  }

  /// Whether the expression describes the whole of `text`, which is UTF-8 and indexed from 0.
  /// Complexity: O(bytes of `text` · instructions).
  package mutating func matches<Bytes: RandomAccessCollection<UInt8>>(_ text: Bytes) -> Bool
  where Bytes.Index == Int {
    var position = 0
    var before: UInt32?
    upcoming.removeAll(keepingCapacity: true)
    place += 1
    var (after, width) = Self.scalar(text, position)
    reach(program.start, before: nil, after: after)
    swap(&waiting, &upcoming)
    while let scalar = after {
      if waiting.isEmpty { return false }
      position += width
      before = scalar
      (after, width) = Self.scalar(text, position)
      place += 1
      upcoming.removeAll(keepingCapacity: true)
      for index in waiting where reads(index, scalar) {
        reach(Int(program.instructions[Int(index)].next), before: before, after: after)
      }
      swap(&waiting, &upcoming)
    }
    return waiting.contains { program.instructions[Int($0)].kind == .match }
  }

  private func reads(_ index: Int32, _ scalar: UInt32) -> Bool {
    let instruction = program.instructions[Int(index)]
    switch instruction.kind {
    case .scalar: return instruction.operand == scalar
    case .set: return program.sets[Int(instruction.operand)].contains(scalar)
    case .split, .assertion, .jump, .match: return false
    }
  }

  /// Puts what can be reached from `start` without reading into `upcoming`.
  private mutating func reach(_ start: Int, before: UInt32?, after: UInt32?) {
    var next = start
    while true {
      if reached[next] != place {
        reached[next] = place
        let instruction = program.instructions[next]
        switch instruction.kind {
        case .split:
          stack.append(Int32(bitPattern: instruction.operand))
          next = Int(instruction.next)
          continue
        case .assertion:
          if Self.holds(instruction.operand, before: before, after: after) {
            next = Int(instruction.next)
            continue
          }
        case .scalar, .set, .jump, .match: upcoming.append(Int32(next))
        }
      }
      guard let other = stack.popLast() else { return }
      next = Int(other)
    }
  }

  private static func holds(_ assertion: UInt32, before: UInt32?, after: UInt32?) -> Bool {
    switch RegularExpressionProgram.Assertion(rawValue: assertion) {
    case .textStart: before == nil
    case .textEnd: after == nil
    case .lineStart: before == nil || before == 0x0A
    case .lineEnd: after == nil || after == 0x0A
    case .wordBoundary: isWord(before) != isWord(after)
    case .noWordBoundary: isWord(before) == isWord(after)
    case nil: false
    }
  }

  /// RE2's words are of ASCII.
  private static func isWord(_ scalar: UInt32?) -> Bool {
    switch scalar ?? 0 {
    case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
    default: false
    }
  }

  /// The character at `position` and its bytes; nil at the end. A byte that is not UTF-8 is a
  /// character that no pattern reads.
  static func scalar<Bytes: RandomAccessCollection<UInt8>>(
    _ text: Bytes, _ position: Int
  ) -> (UInt32?, Int) where Bytes.Index == Int {
    guard position < text.endIndex else { return (nil, 0) }
    let first = text[position]
    if first < 0x80 { return (UInt32(first), 1) }
    let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    guard first >= 0xC2, first < 0xF5, position + length <= text.endIndex else {
      return (.max, 1)
    }
    var scalar = UInt32(first) & (0x7F >> UInt32(length))
    for byte in text[(position + 1)..<(position + length)] {
      guard byte & 0xC0 == 0x80 else { return (.max, 1) }
      scalar = scalar << 6 | UInt32(byte & 0x3F)
    }
    return (scalar, length)
  }
}
