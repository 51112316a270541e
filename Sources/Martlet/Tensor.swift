import MartletCore
import MartletGraph

/// The element types of tensors.
public typealias DType = MartletCore.DType
/// Why a call failed.
public typealias MartletError = MartletCore.MartletError

/// A Swift type that is an element type of tensors.
public protocol TensorElement: BitwiseCopyable {
  static var dtype: DType { get }
}

extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Int8: TensorElement { public static var dtype: DType { .int8 } }
extension Int16: TensorElement { public static var dtype: DType { .int16 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension UInt16: TensorElement { public static var dtype: DType { .uint16 } }
extension UInt32: TensorElement { public static var dtype: DType { .uint32 } }
extension UInt64: TensorElement { public static var dtype: DType { .uint64 } }
extension Bool: TensorElement { public static var dtype: DType { .bool } }

/// An n-dimensional array of numbers: what models take and give.
public struct Tensor: Sendable {
  let core: MartletCore.Tensor

  init(_ core: MartletCore.Tensor) { self.core = core }

  /// A tensor of `elements`, row-major; throws `invalidShape` unless their count is the shape's.
  public init<Element: TensorElement>(
    _ elements: [Element], shape: [Int]
  ) throws(MartletError) {
    let tensor = try MartletCore.Tensor(uninitialized: Element.dtype, shape)
    guard tensor.count == elements.count else {
      throw MartletError(
        .invalidShape, "\(elements.count) elements do not fill shape \(Shape.text(shape))",
        expected: "\(tensor.count) elements", actual: "\(elements.count)")
    }
    elements.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress {
        tensor.pointer.copyMemory(from: base, byteCount: bytes.count)
      }
    }
    core = tensor
  }

  public var dtype: DType { core.dtype }
  /// Extents, outermost first.
  public var shape: [Int] { core.shape }

  /// The elements, row-major; throws `invalidDType` when they are not of this type.
  public func elements<Element: TensorElement>(
    _ type: Element.Type = Element.self
  ) throws(MartletError) -> [Element] {
    guard dtype == Element.dtype else {
      throw MartletError(
        .invalidDType, "the tensor holds \(dtype), not \(Element.dtype)",
        expected: "\(Element.dtype)", actual: "\(dtype)")
    }
    let dense = core.isContiguous ? core : try core.copied()
    return [Element](
      unsafeUninitializedCapacity: dense.count
    ) { buffer, count in
      count = dense.count
      if let base = buffer.baseAddress {
        base.initialize(from: UnsafePointer(dense.typed(Element.self)), count: count)
      }
    }
  }
}
