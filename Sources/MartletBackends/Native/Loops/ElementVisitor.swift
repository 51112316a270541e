import MartletCore

/// A loop written once for every element type; `DType.visit` picks the compiled instance.
protocol ElementVisitor {
  func visit<T: Element>(_ type: T.Type)
}

/// A loop written once for the eight integer types.
protocol IntegerVisitor {
  func visit<T: Element & FixedWidthInteger>(_ type: T.Type)
}

extension DType {
  /// Whether `visit` has a type for it; float16, bfloat16 and narrow dtypes are computed as float32
  /// instead.
  package var hasElementType: Bool {
    self != .float16 && self != .bfloat16 && !isNarrow && self != .string
  }

  /// The type to compute in: float32 for the floats of 16 bits and less, otherwise itself.
  package var computeType: DType { hasElementType ? self : .float32 }

  /// Runs `visitor` for the type of this dtype (bool as its byte). 16-bit floats and narrow dtypes are
  /// the caller's business: for them nothing runs.
  @inline(__always)
  func visit(_ visitor: some ElementVisitor) {
    switch self {
    case .float32: visitor.visit(Float.self)
    case .float64: visitor.visit(Double.self)
    case .int8: visitor.visit(Int8.self)
    case .int16: visitor.visit(Int16.self)
    case .int32: visitor.visit(Int32.self)
    case .int64: visitor.visit(Int64.self)
    case .uint8, .bool: visitor.visit(UInt8.self)
    case .uint16: visitor.visit(UInt16.self)
    case .uint32: visitor.visit(UInt32.self)
    case .uint64: visitor.visit(UInt64.self)
    default: break
    }
  }

  /// Runs `visitor` for an integer type (bool as its byte); for floats nothing runs.
  @inline(__always)
  func visitInteger(_ visitor: some IntegerVisitor) {
    switch self {
    case .int8: visitor.visit(Int8.self)
    case .int16: visitor.visit(Int16.self)
    case .int32: visitor.visit(Int32.self)
    case .int64: visitor.visit(Int64.self)
    case .uint8, .bool: visitor.visit(UInt8.self)
    case .uint16: visitor.visit(UInt16.self)
    case .uint32: visitor.visit(UInt32.self)
    case .uint64: visitor.visit(UInt64.self)
    default: break
    }
  }

  /// Runs `visitor` for the unsigned integer of this dtype's width: for loops that only move bits.
  @inline(__always)
  func visitWidth(_ visitor: some IntegerVisitor) {
    switch wholeByteCount {
    case 1: visitor.visit(UInt8.self)
    case 2: visitor.visit(UInt16.self)
    case 4: visitor.visit(UInt32.self)
    default: visitor.visit(UInt64.self)
    }
  }
}
