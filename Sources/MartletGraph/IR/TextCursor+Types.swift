import MartletCore
import MartletOperators

/// Types, tensors and attributes as `GraphSyntax` writes them.
extension TextCursor {
  mutating func type() throws(MartletError) -> ValueType {
    var type = ValueType(try kind(depth: 0))
    if skip("of") {
      var elements: [Dimension] = []
      try list("(", ")") { cursor throws(MartletError) in
        elements.append(try cursor.dimension())
      }
      type.elements = elements
    }
    return type
  }

  private mutating func kind(depth: Int) throws(MartletError) -> ValueKind {
    guard depth <= Value.maximumDepth else { throw error("fewer parentheses") }
    if skip("?") { return .tensor(nil, try shape()) }
    let before = self
    switch word() {
    case "sequence":
      return .sequence(
        of: try inParentheses { c throws(MartletError) in try c.kind(depth: depth + 1) })
    case "optional":
      return .optional(
        of: try inParentheses { c throws(MartletError) in try c.kind(depth: depth + 1) })
    case "map":
      return try inParentheses { cursor throws(MartletError) in
        let key = try cursor.dtype()
        try cursor.expect(",")
        return .map(key: key, value: try cursor.kind(depth: depth + 1))
      }
    default:
      self = before
      let dtype = try dtype()
      return .tensor(dtype, try shape())
    }
  }

  private mutating func inParentheses<Result>(
    _ body: (inout TextCursor) throws(MartletError) -> Result
  ) throws(MartletError) -> Result {
    try expect("(")
    let result = try body(&self)
    try expect(")")
    return result
  }

  private mutating func shape() throws(MartletError) -> [Dimension]? {
    guard peek() == "[" else { return nil }
    var shape: [Dimension] = []
    try list("[", "]") { cursor throws(MartletError) in shape.append(try cursor.dimension()) }
    return shape
  }

  private mutating func dtype() throws(MartletError) -> DType {
    let before = self
    guard let word = word(), let dtype = DType(name: word) else { throw before.error("a dtype") }
    return dtype
  }

  // MARK: - Extents

  private mutating func dimension() throws(MartletError) -> Dimension {
    skip("?") ? .unknown : try sum(depth: 0)
  }

  /// Terms between + and -.
  private mutating func sum(depth: Int) throws(MartletError) -> Dimension {
    guard depth < 64 else { throw error("fewer parentheses") }
    var result = Dimension.known(0)
    var isNegative = skip("-")
    while true {
      let before = self
      // The least integer has no positive one to be the negative of.
      let isNumber = peek().map { ("0"..."9").contains($0) } ?? false
      var term: Dimension
      if isNegative && isNumber {
        term = .known(try integer("a number", as: Int.self, isNegative: true))
        isNegative = false
      } else {
        term = try factor(depth: depth)
      }
      while skip("*") { term = Inference.times(term, try factor(depth: depth)) }
      result = isNegative ? Inference.minus(result, term) : Inference.plus(result, term)
      guard result != .unknown else { throw before.error("an extent that can be followed") }
      if skip("+") {
        isNegative = false
      } else if skip("-") {
        isNegative = true
      } else {
        return result
      }
    }
  }

  /// A number, a symbol or a sum in parentheses, and what it is divided by.
  private mutating func factor(depth: Int) throws(MartletError) -> Dimension {
    var result: Dimension
    if skip("(") {
      result = try sum(depth: depth + 1)
      try expect(")")
    } else if let next = peek(), ("0"..."9").contains(next) {
      result = .known(try integer("a number"))
    } else {
      result = .symbol(try name("an extent"))
    }
    while skip("/") { result = Inference.divided(result, by: try integer("a divisor")) }
    return result
  }

  // MARK: - Tensors

  /// A type with known extents and the elements: `float32[2] = (1.0, -0.5)`, or `#3` of `table`.
  mutating func tensor(_ table: [Tensor]) throws(MartletError) -> Tensor {
    let start = self
    let dtype = try dtype()
    var shape: [Int] = []
    try list("[", "]") { cursor throws(MartletError) in
      shape.append(try cursor.integer("an extent"))
    }
    try expect("=")
    let elements = self
    if skip("#") {
      let number = try integer("a constant's number")
      guard table.indices.contains(number) else {
        throw elements.error("one of \(table.count) constants")
      }
      guard table[number].dtype == dtype, table[number].shape == shape else {
        throw start.error("\(table[number].dtype)\(Shape.text(table[number].shape))")
      }
      return table[number]
    }
    if dtype == .string {
      var texts: [Text?] = []
      try list("(", ")") { cursor throws(MartletError) in
        texts.append(try Text(try cursor.quoted("a text")))
      }
      guard (try? Shape.elementCount(shape)) == texts.count else {
        throw elements.error("as many texts as the shape says")
      }
      return try Tensor(texts: texts, shape)
    }
    guard let bytes = try? Shape.byteCount(shape, dtype), bytes <= GraphSyntax.inlineBytes else {
      throw start.error("at most \(GraphSyntax.inlineBytes) bytes of elements")
    }
    let content = try content(dtype)
    guard content.count == bytes else { throw elements.error("\(bytes) bytes of elements") }
    let tensor = try Tensor(uninitialized: dtype, shape)
    content.withUnsafeBytes { source in
      if let base = source.baseAddress, bytes > 0 {
        tensor.pointer.copyMemory(from: base, byteCount: bytes)
      }
    }
    return tensor
  }

  private mutating func content(_ dtype: DType) throws(MartletError) -> [UInt8] {
    var bytes: [UInt8] = []
    func append<T>(_ value: T) { withUnsafeBytes(of: value) { bytes += $0 } }
    switch dtype {
    case .float32:
      try list("(", ")") { cursor throws(MartletError) in append(try cursor.float()) }
    case .int64:
      try list("(", ")") { cursor throws(MartletError) in
        append(try cursor.integer("an integer", as: Int64.self))
      }
    case .int32:
      try list("(", ")") { cursor throws(MartletError) in
        append(try cursor.integer("an integer", as: Int32.self))
      }
    default: bytes = try self.bytes()
    }
    return bytes
  }

  // MARK: - Attributes

  mutating func attributes(_ table: [Tensor]) throws(MartletError) -> [String: AttributeValue] {
    var attributes: [String: AttributeValue] = [:]
    try list("{", "}") { cursor throws(MartletError) in
      let before = cursor
      let name = try cursor.name("an attribute")
      guard attributes[name] == nil else { throw before.error("an attribute of another name") }
      try cursor.expect("=")
      attributes[name] = try cursor.attribute(table)
    }
    return attributes
  }

  private mutating func attribute(_ table: [Tensor]) throws(MartletError) -> AttributeValue {
    guard let next = peek() else { throw error("a value") }
    switch next {
    case "\"": return .string(try quoted("a text"))
    case "[": return try values()
    default: break
    }
    let start = self
    switch word() {
    case "ints":
      try list("[", "]") { cursor throws(MartletError) in throw cursor.error("']'") }
      return .ints([])
    case "floats":
      try list("[", "]") { cursor throws(MartletError) in throw cursor.error("']'") }
      return .floats([])
    case "strings":
      try list("[", "]") { cursor throws(MartletError) in throw cursor.error("']'") }
      return .strings([])
    case "type": return .type(try kind(depth: 0))
    case let word?:
      self = start
      if DType(name: word) != nil { return .tensor(try tensor(table)) }
    case nil: self = start
    }
    let text = try number("a value")
    if let value = Int(text) { return .int(value) }
    guard let value = TextCursor.float(text) else { throw start.error("a number") }
    return .float(value)
  }

  /// A list of which each item is of the kind of the first.
  private mutating func values() throws(MartletError) -> AttributeValue {
    var (ints, floats, strings) = ([Int](), [Float](), [String]())
    try list("[", "]") { cursor throws(MartletError) in
      if cursor.peek() == "\"" {
        strings.append(try cursor.quoted("a text"))
      } else {
        let before = cursor
        let text = try cursor.number("a value")
        if let value = Int(text) {
          ints.append(value)
        } else if let value = TextCursor.float(text) {
          floats.append(value)
        } else {
          throw before.error("a number")
        }
      }
      guard [ints.isEmpty, floats.isEmpty, strings.isEmpty].filter({ !$0 }).count == 1 else {
        throw cursor.error("values of one kind")
      }
    }
    if !strings.isEmpty { return .strings(strings) }
    return floats.isEmpty ? .ints(ints) : .floats(floats)
  }

  private mutating func float() throws(MartletError) -> Float {
    let before = self
    guard let value = TextCursor.float(try number("a number")) else {
      throw before.error("a number")
    }
    return value
  }

  private static func float(_ text: String) -> Float? {
    if text == "nan" { return .nan }
    if text.hasPrefix("nan(0x"), text.hasSuffix(")") {
      let bits = UInt32(text.dropFirst(6).dropLast(), radix: 16)
      return bits.map { Float(bitPattern: $0) }.flatMap { $0.isNaN ? $0 : nil }
    }
    return Float(text)
  }
}
