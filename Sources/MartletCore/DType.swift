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
  /// Texts in UTF-8; an element is a reference to an immutable one (see `Text`).
  case string = 8
  case bool = 9
  case float16 = 10
  case float64 = 11
  case uint32 = 12
  case uint64 = 13
  case bfloat16 = 16
  case float8e4m3fn = 17
  case float8e4m3fnuz = 18
  case float8e5m2 = 19
  case float8e5m2fnuz = 20
  case uint4 = 21
  case int4 = 22
  case float4e2m1 = 23
  case float8e8m0 = 24
  case uint2 = 25
  case int2 = 26
  case float6e2m3 = 27
  case float6e3m2 = 28

  /// Bits of one element; of a string, those of the reference. Elements of less than 8 lie one after
  /// another without gaps, the first in the lowest bits of the first byte, as ONNX packs them.
  public var bitWidth: Int {
    switch self {
    case .float32, .int32, .uint32: 32
    case .float64, .int64, .uint64, .string: 64
    case .uint16, .int16, .float16, .bfloat16: 16
    case .bool, .uint8, .int8: 8
    case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: 8
    case .float6e2m3, .float6e3m2: 6
    case .int4, .uint4, .float4e2m1: 4
    case .int2, .uint2: 2
    }
  }

  /// Whether elements are less than a byte: their tensors are contiguous, and no pointer points to
  /// one element.
  package var isPacked: Bool { bitWidth < 8 }

  /// Whether it is one of the floats of 8 bits and less, or an integer of less: types that are stored
  /// and converted, but not computed in.
  package var isNarrow: Bool { rawValue >= DType.float8e4m3fn.rawValue }

  /// Whether it is a float of 8 bits with a sign: those that ONNX permits beside the wider floats.
  package var isSignedFloat8: Bool {
    rawValue >= DType.float8e4m3fn.rawValue && rawValue <= DType.float8e5m2fnuz.rawValue
  }

  /// Bytes that `count` elements take without gaps, rounded up to whole bytes; `Int.max` where that
  /// does not fit.
  package func byteCount(of count: Int) -> Int {
    let bits = bitWidth
    if bits < 8 { return count / 8 * bits + (count % 8 * bits + 7) / 8 }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: bits / 8)
    return overflow ? .max : bytes
  }

  /// Bytes from an element to the next, for loops over elements that have an address. Packed elements
  /// have none: whoever runs such a loop has seen to it that they do not get there.
  package var wholeByteCount: Int {
    let bits = bitWidth
    precondition(bits >= 8, "elements of less than a byte have no address")
    return bits / 8
  }

  /// What the address of a tensor's first element must be a multiple of.
  package var alignment: Int { max(bitWidth / 8, 1) }

  public var isFloatingPoint: Bool {
    switch self {
    case .float32, .float64, .float16, .bfloat16: true
    case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: true
    case .float6e2m3, .float6e3m2, .float4e2m1: true
    default: false
    }
  }

  public var isSignedInteger: Bool {
    switch self {
    case .int2, .int4, .int8, .int16, .int32, .int64: true
    default: false
    }
  }

  public var isInteger: Bool { !isFloatingPoint && self != .bool && self != .string }

  public var description: String {
    switch self {
    case .float32: "float32"
    case .uint8: "uint8"
    case .int8: "int8"
    case .uint16: "uint16"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .string: "string"
    case .bool: "bool"
    case .float16: "float16"
    case .float64: "float64"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .bfloat16: "bfloat16"
    case .float8e4m3fn: "float8e4m3fn"
    case .float8e4m3fnuz: "float8e4m3fnuz"
    case .float8e5m2: "float8e5m2"
    case .float8e5m2fnuz: "float8e5m2fnuz"
    case .uint4: "uint4"
    case .int4: "int4"
    case .float4e2m1: "float4e2m1"
    case .float8e8m0: "float8e8m0"
    case .uint2: "uint2"
    case .int2: "int2"
    case .float6e2m3: "float6e2m3"
    case .float6e3m2: "float6e3m2"
    }
  }

  /// The type of this name (`"float32"`, `"bfloat16"`, …), or nil.
  public init?(name: String) {
    guard let match = DType.allCases.first(where: { $0.description == name }) else { return nil }
    self = match
  }

  /// All but strings.
  package static let numbers = allCases.filter { $0 != .string }
}
