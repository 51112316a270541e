import MartletCore
import MartletOperators

/// How the parts of a graph's text are written.
enum GraphSyntax {
  /// Tensors of more bytes than this stand outside the text.
  static let inlineBytes = 256

  static func isNameStart(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "_": true
    default: false
    }
  }

  static func isNamePart(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "0"..."9", ".": true
    default: isNameStart(scalar)
    }
  }

  /// The name as it is, or in quotes where it is no plain word.
  static func name(_ name: String) -> String {
    let scalars = name.unicodeScalars
    // `_` alone stands for an absent input.
    guard let first = scalars.first, isNameStart(first), scalars.allSatisfy(isNamePart), name != "_"
    else { return quoted(name) }
    return name
  }

  /// `MatMul`, `ai.martlet.FusedMatMul`; in quotes where a part is no plain word: `"my domain"."op"`.
  static func text(_ op: OperatorID) -> String {
    let isPlain = name(op.name) == op.name && !op.name.contains(".")
    if isPlain, op.domain.isEmpty || name(op.domain) == op.domain { return op.description }
    return op.domain.isEmpty ? quoted(op.name) : "\(quoted(op.domain)).\(quoted(op.name))"
  }

  /// The text in double quotes; quotes, backslashes and what does not print are escaped.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\u{0}"..<" ", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}", "\u{FEFF}":
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// The shortest text that reads back to the same bits.
  static func text(_ value: Float) -> String {
    guard value.isNaN else { return "\(value)" }
    let bits = value.bitPattern
    return bits == Float.nan.bitPattern ? "nan" : "nan(0x\(String(bits, radix: 16)))"
  }

  /// dtype and shape, or the kind, and what is known of the elements: `int64[2] of (batch, 3)`.
  static func text(_ type: ValueType) -> String {
    var text = type.kind.text(self.text)
    if let elements = type.elements {
      text += " of (" + elements.map(self.text).joined(separator: ", ") + ")"
    }
    return text
  }

  static func text(_ dimension: Dimension) -> String {
    switch dimension {
    case .symbol(let symbol): name(symbol)
    case .expression(let expression): expression.text(name)
    default: dimension.description
    }
  }

  /// The elements of a small tensor: numbers, or for rarer dtypes the bytes; nil for a large one.
  static func elements(_ tensor: Tensor) -> String? {
    guard tensor.byteCount <= inlineBytes,
      let dense = tensor.isContiguous ? tensor : try? tensor.copied()
    else { return nil }
    defer { withExtendedLifetime(dense) {} }
    func list<T>(_: T.Type, _ text: (T) -> String) -> String {
      let raw = UnsafeRawPointer(dense.pointer)
      let size = MemoryLayout<T>.size
      let elements = (0..<dense.count).map {
        text(raw.loadUnaligned(fromByteOffset: $0 * size, as: T.self))
      }
      return "(" + elements.joined(separator: ", ") + ")"
    }
    switch tensor.dtype {
    case .float32: return list(Float.self, text)
    case .int64: return list(Int64.self) { "\($0)" }
    case .int32: return list(Int32.self) { "\($0)" }
    case .string:
      let texts = dense.texts
      guard texts.reduce(0, { $0 + ($1?.bytes.count ?? 0) }) <= inlineBytes else { return nil }
      return "(" + texts.map { quoted($0?.string ?? "") }.joined(separator: ", ") + ")"
    default:
      let bytes = UnsafeRawBufferPointer(
        start: dense.pointer, count: dense.byteCount)
      return bytes.reduce(into: "0x") { text, byte in
        text += byte < 16 ? "0" : ""
        text += String(byte, radix: 16)
      }
    }
  }
}
