import MartletCore

/// What casts from and to strings mean.
///
/// A number is read from its whole string but for white space around it: digits with an optional
/// point and exponent, or `inf`, `infinity` or `nan` in any case, with an optional sign. Anything else
/// is an error that names the element. What is too large for a float is infinite; for an integer,
/// which is truncated, it is an error.
///
/// A float is written with the fewest digits from which it is read back the same, like C's `%g`: with
/// an exponent below 1e-4 and from 1e8 on (float64: 1e16), and `INF`, `-INF` and `NaN`. float16 and
/// bfloat16 are written as the float32 of their value, bool as 1 and 0.
/// Source: ONNX Cast-28.
enum StringCast {
  /// `input` as strings where `target` is string; its numbers in a dtype that converts to `target`
  /// where it is strings itself; otherwise `input`.
  static func bridged(
    _ input: Tensor, to target: DType, _ context: RunContext, _ operatorName: String
  ) throws(MartletError) -> Tensor {
    if (input.dtype == .string) == (target == .string) { return input }
    if target == .string { return try written(input, context) }
    let wide = wideType(of: target)
    let numbers =
      wide == target
      ? try context.output(0, wide, input.shape) : try context.scratch(wide, input.shape)
    for (index, text) in input.texts.enumerated() {
      guard read(text, index, into: numbers, target) else {
        throw unreadable(text, index, target, operatorName)
      }
    }
    return numbers
  }

  /// What numbers of this dtype are read and written in.
  private static func wideType(of dtype: DType) -> DType {
    if dtype == .uint64 || dtype == .float64 { return dtype }
    return dtype.isFloatingPoint ? .float32 : .int64
  }
}

// MARK: - Writing

extension StringCast {
  private static func written(_ input: Tensor, _ context: RunContext) throws(MartletError) -> Tensor
  {
    let output = try context.output(0, .string, input.shape)
    let wide = try context.contiguous(
      try context.converted(input, to: wideType(of: input.dtype)))
    var texts: [Text?] = []
    texts.reserveCapacity(output.count)
    for index in 0..<output.count {
      let string =
        switch wide.dtype {
        case .float32: text(wide.typed(Float.self)[index])
        case .float64: text(wide.typed(Double.self)[index])
        case .uint64: String(wide.typed(UInt64.self)[index])
        default: String(wide.typed(Int64.self)[index])
        }
      texts.append(try Text(string, context.memory.allowance))
    }
    output.setTexts(texts)
    return output
  }

  static func text(_ value: Float) -> String {
    text(value.description, isNegative: value.sign == .minus, exponentFrom: 8)
  }

  static func text(_ value: Double) -> String {
    text(value.description, isNegative: value.sign == .minus, exponentFrom: 16)
  }

  /// Swift's description, which has the fewest digits, in another form.
  private static func text(_ description: String, isNegative: Bool, exponentFrom limit: Int)
    -> String
  {
    let parts = description.split(separator: "e")
    let sign = isNegative ? "-" : ""
    guard let mantissa = parts.first, let last = mantissa.last, last.isNumber else {
      return description.hasSuffix("inf") ? sign + "INF" : "NaN"
    }
    let fields = mantissa.drop { $0 == "-" }.split(separator: ".")
    let whole = fields.first ?? "0"
    var digits = Array(whole + (fields.count > 1 ? fields[1] : ""))
    var exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) + whole.count - 1
    while digits.count > 1, digits.first == "0" {
      digits.removeFirst()
      exponent -= 1
    }
    while digits.count > 1, digits.last == "0" { digits.removeLast() }
    if digits == ["0"] { return sign + "0" }
    if exponent < -4 || exponent >= limit {
      let fraction = digits.count > 1 ? "." + String(digits[1...]) : ""
      let size = String(exponent.magnitude)
      return sign + String(digits[0]) + fraction + (exponent < 0 ? "e-" : "e+")
        + (size.count < 2 ? "0" : "") + size
    }
    if exponent < 0 {
      return sign + "0." + String(repeating: "0", count: -exponent - 1) + String(digits)
    }
    if digits.count <= exponent + 1 {
      return sign + String(digits) + String(repeating: "0", count: exponent + 1 - digits.count)
    }
    return sign + String(digits[...exponent]) + "." + String(digits[(exponent + 1)...])
  }
}

// MARK: - Reading

extension StringCast {
  /// Writes the number that `text` is; false where it is none, or none of `target`.
  private static func read(_ text: Text?, _ index: Int, into numbers: Tensor, _ target: DType)
    -> Bool
  {
    guard let text, let number = Number(text.bytes) else { return false }
    switch numbers.dtype {
    case .float32:
      guard let value = number.float else { return false }
      numbers.typed(Float.self)[index] = value
    case .float64:
      guard let value = number.double else { return false }
      numbers.typed(Double.self)[index] = value
    case .uint64:
      guard let value: UInt64 = number.integer() else { return false }
      numbers.typed(UInt64.self)[index] = value
    default:
      if target == .bool {
        guard let value = number.double else { return false }
        numbers.typed(Int64.self)[index] = value == 0 ? 0 : 1
        return true
      }
      guard let value: Int64 = number.integer(), fits(value, target) else { return false }
      numbers.typed(Int64.self)[index] = value
    }
    return true
  }

  private static func fits(_ value: Int64, _ dtype: DType) -> Bool {
    let bits = Int64(dtype.bitWidth)
    if bits == 64 { return true }
    let end: Int64 = 1 << (dtype.isSignedInteger ? bits - 1 : bits)
    return (dtype.isSignedInteger ? -end : 0)..<end ~= value
  }

  private static func unreadable(
    _ text: Text?, _ index: Int, _ target: DType, _ operatorName: String
  ) -> MartletError {
    let string = text?.string ?? ""
    let excerpt = string.prefix(40) + (string.count > 40 ? "…" : "")
    return MartletError(
      .invalidArgument,
      "\(operatorName): element \(index) of the input is '\(excerpt)', which is no \(target)",
      operatorName: operatorName, input: "input", expected: "a number that \(target) holds",
      actual: String(excerpt))
  }

  /// A string that is a number.
  private struct Number {
    private let string: String
    private let isWhole: Bool

    /// nil where the bytes are no number.
    init?(_ bytes: UnsafeBufferPointer<UInt8>) {
      let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) }
      guard let first = bytes.firstIndex(where: { !isSpace($0) }),
        let last = bytes.lastIndex(where: { !isSpace($0) })
      else { return nil }
      var rest = bytes[first...last]
      string = String(decoding: rest, as: UTF8.self)
      Number.dropSign(&rest)
      if ["inf", "infinity", "nan"].contains(String(decoding: rest, as: UTF8.self).lowercased()) {
        isWhole = false
        return
      }
      var digits = Number.dropDigits(&rest)
      isWhole = rest.isEmpty
      if rest.first == 0x2E {
        rest.removeFirst()
        digits += Number.dropDigits(&rest)
      }
      guard digits > 0 else { return nil }
      if rest.first == 0x65 || rest.first == 0x45 {
        rest.removeFirst()
        Number.dropSign(&rest)
        guard Number.dropDigits(&rest) > 0 else { return nil }
      }
      guard rest.isEmpty else { return nil }
    }

    var float: Float? { Float(string) }
    var double: Double? { Double(string) }

    /// Truncated; nil where it does not fit.
    func integer<Integer: FixedWidthInteger>() -> Integer? {
      if isWhole, let value = Integer(string) { return value }
      guard let value = double, value.isFinite else { return nil }
      return Integer(exactly: value.rounded(.towardZero))
    }

    private static func dropSign(_ rest: inout Swift.Slice<UnsafeBufferPointer<UInt8>>) {
      if rest.first == 0x2B || rest.first == 0x2D { rest.removeFirst() }
    }

    private static func dropDigits(_ rest: inout Swift.Slice<UnsafeBufferPointer<UInt8>>) -> Int {
      let count = rest.prefix { (0x30...0x39).contains($0) }.count
      rest.removeFirst(count)
      return count
    }
  }
}
