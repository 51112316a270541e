import Glibc
import MartletCore
import MartletOperators

/// The elements of a tensor of any dtype as text and JSON, in row-major order.
struct Elements {
  /// Contiguous: float32, float64, int64, uint64, bool or string.
  private let tensor: Tensor
  private let strings: [String]

  init(_ tensor: Tensor) throws(MartletError) {
    switch tensor.dtype {
    case .string:
      (self.tensor, strings) = (tensor, tensor.strings)
      return
    case .float32, .float64, .int64, .uint64, .bool:
      self.tensor = tensor.isContiguous ? tensor : try tensor.copied()
    case let dtype where dtype.isFloatingPoint: self.tensor = try tensor.cast(to: .float32)
    default: self.tensor = try tensor.cast(to: .int64)
    }
    strings = []
  }

  /// An element as text: a float with six digits, or with as many as tell it from all others.
  func text(_ index: Int, isFull: Bool) -> String {
    switch tensor.dtype {
    case .string: strings[index]
    case .float32:
      isFull
        ? "\(tensor.typed(Float.self)[index])"
        : Elements.short(Double(tensor.typed(Float.self)[index]))
    case .float64:
      isFull
        ? "\(tensor.typed(Double.self)[index])" : Elements.short(tensor.typed(Double.self)[index])
    case .uint64: "\(tensor.typed(UInt64.self)[index])"
    case .bool: tensor.typed(UInt8.self)[index] == 0 ? "false" : "true"
    default: "\(tensor.typed(Int64.self)[index])"
    }
  }

  /// An element in JSON; what JSON has no number for is a string.
  func json(_ index: Int) -> String {
    switch tensor.dtype {
    case .string: return JSON.string(strings[index]).text
    case .float32, .float64:
      let value =
        tensor.dtype == .float32
        ? Double(tensor.typed(Float.self)[index]) : tensor.typed(Double.self)[index]
      if value.isFinite { return text(index, isFull: true) }
      return value.isNaN ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\""
    default: return text(index, isFull: true)
    }
  }

  /// Whether the element of another tensor of the same dtype is another; NaN is NaN.
  func differs(_ other: Elements, at index: Int) -> Bool {
    switch tensor.dtype {
    case .float32:
      let (a, b) = (tensor.typed(Float.self)[index], other.tensor.typed(Float.self)[index])
      return a != b && !(a.isNaN && b.isNaN)
    case .float64:
      let (a, b) = (tensor.typed(Double.self)[index], other.tensor.typed(Double.self)[index])
      return a != b && !(a.isNaN && b.isNaN)
    case .string: return strings[index] != other.strings[index]
    case .bool: return tensor.typed(UInt8.self)[index] != other.tensor.typed(UInt8.self)[index]
    default: return tensor.typed(UInt64.self)[index] != other.tensor.typed(UInt64.self)[index]
    }
  }

  /// As C's `%.6g` writes it.
  private static func short(_ value: Double) -> String {
    var buffer = [CChar](repeating: 0, count: 40)
    _ = withVaList([value]) { vsnprintf(&buffer, buffer.count, "%.6g", $0) }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension Tensor {
  /// The result of one operator on tensors, in float32.
  static func computed(
    _ op: OperatorID, _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:]
  ) throws(MartletError) -> Tensor {
    let operation = try OperatorTable.make(
      op,
      OperatorNode(
        attributes: Attributes(attributes, operatorName: op.description),
        constants: inputs.map { _ in nil }, inputCount: inputs.count, outputCount: 1))
    let results = try operation.results(inputs, RunContext(mode: .fp32))
    guard let result = results.first else {
      throw MartletError(.internalError, "\(op) gave no result")
    }
    return result.isContiguous ? result : try result.copied()
  }

  /// The elements in another dtype, as the operator Cast has it.
  func cast(to dtype: DType) throws(MartletError) -> Tensor {
    try Tensor.computed("Cast", [self], ["to": .int(Int(dtype.rawValue))])
  }
}
