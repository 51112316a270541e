/// The element types of tensors.
///
/// Raw values are those of `martlet_dtype` and of ONNX `TensorProto.DataType`.
public enum DType: Int32, Sendable, CaseIterable, CustomStringConvertible {
  case float32 = 1
  case uint8 = 2
  case int8 = 3
  case uint16 = 4
  case int16 = 5
  case int32 = 6
  case int64 = 7
  case bool = 9
  case float16 = 10
  case float64 = 11
  case uint32 = 12
  case uint64 = 13
  case bfloat16 = 16

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8: 1
    case .uint16, .int16, .float16, .bfloat16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .float32, .float64, .float16, .bfloat16: true
    default: false
    }
  }

  public var isSignedInteger: Bool {
    switch self {
    case .int8, .int16, .int32, .int64: true
    default: false
    }
  }

  public var isInteger: Bool { !isFloatingPoint && self != .bool }

  public var description: String {
    switch self {
    case .float32: "float32"
    case .uint8: "uint8"
    case .int8: "int8"
    case .uint16: "uint16"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .bool: "bool"
    case .float16: "float16"
    case .float64: "float64"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .bfloat16: "bfloat16"
    }
  }

  /// The type of this name (`"float32"`, `"bfloat16"`, …), or nil.
  public init?(name: String) {
    guard let match = DType.allCases.first(where: { $0.description == name }) else { return nil }
    self = match
  }
}
