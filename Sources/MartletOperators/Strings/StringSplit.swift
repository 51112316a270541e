import MartletCore

/// The parts of each string along a new last axis, padded with empty strings, and their number.
///
/// Without a delimiter parts stand between white space as Unicode has it, and those before, between
/// and behind are dropped. An empty string has no part without a delimiter, and one empty part with
/// one. `maxsplit` below 0 is no limit.
/// Source: ONNX StringSplit-20.
package struct StringSplit: Operator {
  package static let schema = OperatorSchema(
    name: "StringSplit", inputs: ["X"], outputs: ["Y", "Z"],
    attributes: [
      "delimiter": "between the parts; none or empty: white space",
      "maxsplit": "how often a string is split at most; none: as often as it can be",
    ], traits: [.anyElement])
  private let delimiter: ByteSearch?
  private let most: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    let bytes = Array(try node.attributes.string("delimiter", default: "").utf8)
    delimiter = bytes.isEmpty ? nil : ByteSearch(bytes)
    let most = try node.attributes.int("maxsplit", default: -1)
    self.most = most < 0 ? .max : most
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shape = inputs.type(0)?.shape
    return [
      ValueType(dtype: .string, shape: shape.map { $0 + [.unknown] }),
      ValueType(dtype: .int64, shape: shape),
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0, like: .string)
    let counts = try context.output(1, .int64, input.shape)
    let numbers = counts.typed(Int64.self)
    var parts: [Text?] = []
    var width = 0
    for (index, text) in input.texts.enumerated() {
      let before = parts.count
      if let text {
        for range in split(text.bytes) {
          parts.append(range.isEmpty ? nil : try Text(text.bytes[range], context.memory.allowance))
        }
      } else if delimiter != nil {
        parts.append(nil)
      }
      numbers[index] = Int64(parts.count - before)
      width = max(width, parts.count - before)
    }
    try context.checkRoom(try Shape.elementCount(input.shape + [width]), "StringSplit")
    let output = try context.output(0, .string, input.shape + [width])
    var padded: [Text?] = []
    padded.reserveCapacity(output.count)
    var next = 0
    for index in 0..<counts.count {
      let end = next + Int(numbers[index])
      padded += parts[next..<end]
      for _ in (end - next)..<width { padded.append(nil) }
      next = end
    }
    output.setTexts(padded)
    context.deliver(output)
    context.deliver(counts)
  }

  private func split(_ text: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    delimiter.map { split(text, at: $0) } ?? splitAtWhiteSpace(text)
  }

  private func split(_ text: UnsafeBufferPointer<UInt8>, at delimiter: ByteSearch) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var start = 0
    while parts.count < most, let found = delimiter.first(in: text, from: start) {
      parts.append(start..<found)
      start = found + delimiter.needle.count
    }
    parts.append(start..<text.count)
    return parts
  }

  private func splitAtWhiteSpace(_ text: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var start: Int?
    // Behind the last character that is no space.
    var end = 0
    var position = 0
    while position < text.count {
      let (scalar, width) = RegularExpressionMatcher.scalar(text, position)
      if !StringSplit.isSpace(scalar) {
        start = start ?? position
        end = position + width
      } else if let first = start, parts.count < most {
        parts.append(first..<end)
        start = nil
      }
      position += width
    }
    if let first = start { parts.append(first..<end) }
    return parts
  }

  /// White space, and the four separators of ASCII, which count as such in Python.
  private static func isSpace(_ scalar: UInt32?) -> Bool {
    switch scalar ?? 0 {
    case 0x09...0x0D, 0x1C...0x20: true
    case let other where other < 0x80: false
    case let other: Unicode.Scalar(other)?.properties.isWhitespace ?? false
    }
  }
}
