import MartletCore

/// The header of a `.npy` file: dtype, byte order, memory order and shape.
///
/// Source: NumPy's "A simple file format for NumPy arrays", versions 1.0, 2.0 and 3.0.
struct NumPyHeader: Equatable {
  var dtype: DType
  var isBigEndian: Bool
  var isFortranOrder: Bool
  var shape: [Int]

  /// Parses the header's dictionary, `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
  /// Throws `invalidModel` on anything else and `unsupported` for element types without a `DType`.
  init(dictionary: String) throws(MartletError) {
    var scanner = LiteralScanner(dictionary)
    var description: String?
    var order: Bool?
    var shape: [Int]?
    try scanner.expect("{")
    while try !scanner.skip("}") {
      let key = try scanner.string()
      try scanner.expect(":")
      switch key {
      case "descr" where scanner.isAtList:
        throw MartletError(.unsupported, "npy header: structured arrays are not supported")
      case "descr": description = try scanner.string()
      case "fortran_order": order = try scanner.boolean()
      case "shape": shape = try scanner.extents()
      default: throw LiteralScanner.malformed("the key '\(key)' is not known")
      }
      if try !scanner.skip(",") {
        try scanner.expect("}")
        break
      }
    }
    try scanner.expectEnd()
    guard let description, let order, let shape else {
      throw LiteralScanner.malformed("descr, fortran_order or shape is missing")
    }
    guard let (dtype, isBigEndian) = NumPyHeader.elementType(description) else {
      throw MartletError(
        .unsupported, "npy header: element type '\(description)' is not supported",
        expected: "f2, f4, f8, i1 to i8, u1 to u8, b1 or V2 (bfloat16)", actual: description)
    }
    self.init(dtype: dtype, isBigEndian: isBigEndian, isFortranOrder: order, shape: shape)
  }

  init(dtype: DType, isBigEndian: Bool = false, isFortranOrder: Bool = false, shape: [Int]) {
    self.dtype = dtype
    self.isBigEndian = isBigEndian
    self.isFortranOrder = isFortranOrder
    self.shape = shape
  }

  /// The dictionary as NumPy writes it.
  var dictionary: String {
    let extents = shape.map { String($0) }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let order = isFortranOrder ? "True" : "False"
    return "{'descr': '\(NumPyHeader.code(of: dtype) ?? "")', 'fortran_order': \(order), "
      + "'shape': (\(extents)), }"
  }

  /// nil: neither NumPy nor ml_dtypes saves it under a code of its own.
  static func code(of dtype: DType) -> String? {
    switch dtype {
    case .float16: "<f2"
    case .float32: "<f4"
    case .float64: "<f8"
    case .int8: "|i1"
    case .int16: "<i2"
    case .int32: "<i4"
    case .int64: "<i8"
    case .uint8: "|u1"
    case .uint16: "<u2"
    case .uint32: "<u4"
    case .uint64: "<u8"
    case .bool: "|b1"
    // NumPy has no code for bfloat16; ml_dtypes saves it as two opaque bytes.
    case .bfloat16: "<V2"
    default: nil
    }
  }

  private static func elementType(_ description: String) -> (DType, isBigEndian: Bool)? {
    guard let order = description.first, "<>|=".contains(order) else { return nil }
    let dtype = DType.allCases.first { code(of: $0)?.dropFirst() == description.dropFirst() }
    return dtype.map { ($0, order == ">") }
  }
}

/// Reads the few Python literals that a header consists of.
private struct LiteralScanner {
  private var rest: Substring.UnicodeScalarView

  init(_ text: String) { rest = Substring(text).unicodeScalars }

  static func malformed(_ what: String) -> MartletError {
    MartletError(.invalidModel, "malformed npy header: \(what)")
  }

  var isAtList: Bool {
    var copy = self
    return (try? copy.skip("[")) ?? false
  }

  mutating func skip(_ symbol: Unicode.Scalar) throws(MartletError) -> Bool {
    skipSpace()
    guard let first = rest.first else {
      throw LiteralScanner.malformed("it ends before '\(symbol)'")
    }
    guard first == symbol else { return false }
    rest.removeFirst()
    return true
  }

  mutating func expect(_ symbol: Unicode.Scalar) throws(MartletError) {
    guard try skip(symbol) else { throw LiteralScanner.malformed("expected '\(symbol)'") }
  }

  mutating func expectEnd() throws(MartletError) {
    skipSpace()
    guard rest.isEmpty else { throw LiteralScanner.malformed("text follows the dictionary") }
  }

  mutating func string() throws(MartletError) -> String {
    let isDouble = try skip("\"")
    if !isDouble { try expect("'") }
    let quote: Unicode.Scalar = isDouble ? "\"" : "'"
    guard let end = rest.firstIndex(of: quote) else {
      throw LiteralScanner.malformed("a string has no end")
    }
    defer { rest = rest[rest.index(after: end)...] }
    return String(rest[..<end])
  }

  mutating func boolean() throws(MartletError) -> Bool {
    skipSpace()
    let word = rest.prefix { $0.properties.isAlphabetic }
    rest = rest.dropFirst(word.count)
    switch String(word) {
    case "True": return true
    case "False": return false
    default: throw LiteralScanner.malformed("expected True or False")
    }
  }

  mutating func extents() throws(MartletError) -> [Int] {
    var extents: [Int] = []
    try expect("(")
    while try !skip(")") {
      let digits = rest.prefix { ("0"..."9").contains($0) }
      guard let extent = Int(String(digits)) else {
        throw LiteralScanner.malformed("an extent is not a number from 0 to \(Int.max)")
      }
      rest = rest.dropFirst(digits.count)
      extents.append(extent)
      if try !skip(",") {
        try expect(")")
        break
      }
    }
    return extents
  }

  private mutating func skipSpace() {
    rest = rest.drop { $0.properties.isWhitespace }
  }
}
