import MartletBackends
import MartletCore

/// What is known of a value before a run.
package struct ValueType: Sendable {
  package var dtype: DType?
  /// nil: not even the rank is known.
  package var shape: [Dimension]?
  /// The elements of a small integer vector or scalar (a shape being computed), where known.
  package var elements: [Dimension]?
  /// The whole value, for constants.
  package var constant: Tensor?

  package init(
    dtype: DType?, shape: [Dimension]?, elements: [Dimension]? = nil, constant: Tensor? = nil
  ) {
    self.dtype = dtype
    self.shape = shape
    self.elements = elements
    self.constant = constant
  }
}

extension ValueType {
  /// Nothing known but perhaps the dtype.
  package static func unknown(_ dtype: DType? = nil) -> ValueType {
    ValueType(dtype: dtype, shape: nil)
  }

  package var rank: Int? { shape?.count }

  /// This type with what `other` knows beyond it; where both know, this one stands.
  package func completed(by other: ValueType) -> ValueType {
    var result = self
    result.dtype = dtype ?? other.dtype
    if let shape, let otherShape = other.shape, shape.count == otherShape.count {
      result.shape = zip(shape, otherShape).map { $0 == .unknown ? $1 : $0 }
    } else {
      result.shape = shape ?? other.shape
    }
    result.elements = elements ?? other.elements
    result.constant = constant ?? other.constant
    return result
  }

  /// The elements of a short int64, int32 or bool vector or scalar, from `elements` or from the
  /// constant.
  package var knownElements: [Dimension]? {
    if let elements { return elements }
    guard let constant, [.int64, .int32, .bool].contains(constant.dtype),
      constant.rank <= 1, constant.count <= Inference.elementLimit
    else { return nil }
    return SmallTensors.integers(constant).map { .known($0) }
  }

  /// The elements where every one is a known number.
  package var knownIntegers: [Int]? {
    guard let elements = knownElements else { return nil }
    var values: [Int] = []
    for element in elements {
      guard case .known(let value) = element else { return nil }
      values.append(value)
    }
    return values
  }
}

extension [ValueType?] {
  /// The type at `index`; nil where the input is absent or unknown.
  package func type(_ index: Int) -> ValueType? { index < count ? self[index] : nil }
}
