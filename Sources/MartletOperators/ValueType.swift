import MartletBackends
import MartletCore

/// What is known of a value before a run.
package struct ValueType: Sendable {
  /// nil: not known, or no tensor.
  package var dtype: DType?
  /// nil: not even the rank is known, or no tensor.
  package var shape: [Dimension]?
  /// What it is instead of a tensor; nil: a tensor, as far as is known.
  package private(set) var compound: ValueKind?
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

  /// All that a kind says.
  package init(_ kind: ValueKind) {
    if case .tensor(let dtype, let shape) = kind {
      self.init(dtype: dtype, shape: shape)
    } else {
      self.init(dtype: nil, shape: nil)
      compound = kind
    }
  }

  /// Without what is known of elements.
  package var kind: ValueKind { compound ?? .tensor(dtype, shape) }

  /// The dtype and shape, or the kind, without what is known of the elements.
  package var withoutElements: ValueType { ValueType(kind) }

  /// The kind, with nothing said of shapes.
  package var withoutExtents: ValueType { ValueType(kind.withoutExtents) }
}

extension ValueType {
  /// Nothing known but perhaps the dtype.
  package static func unknown(_ dtype: DType? = nil) -> ValueType {
    ValueType(dtype: dtype, shape: nil)
  }

  package var rank: Int? { shape?.count }

  /// This type with what `other` knows beyond it; where both know, this one stands.
  package func completed(by other: ValueType) -> ValueType {
    if compound != nil || other.compound != nil {
      if dtype == nil && shape == nil && compound == nil { return other }
      return ValueType(kind.completed(by: other.kind))
    }
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

extension ValueType {
  /// What holds of both.
  package func common(with other: ValueType) -> ValueType {
    if compound != nil || other.compound != nil {
      return kind.common(with: other.kind).map { ValueType($0) } ?? .unknown()
    }
    var result = ValueType(dtype: dtype == other.dtype ? dtype : nil, shape: nil)
    if let shape, let otherShape = other.shape, shape.count == otherShape.count {
      result.shape = zip(shape, otherShape).map { $0 == $1 ? $0 : .unknown }
    }
    return result
  }

  /// Whether one value may be of both types: no kind, dtype, rank or extent contradicts.
  package func agrees(with other: ValueType) -> Bool {
    if compound != nil || other.compound != nil { return kind.agrees(with: other.kind) }
    if let dtype, let otherDType = other.dtype, dtype != otherDType { return false }
    guard let shape, let otherShape = other.shape else { return true }
    guard shape.count == otherShape.count else { return false }
    return zip(shape, otherShape).allSatisfy { a, b in
      if case .known(let x) = a, case .known(let y) = b { x == y } else { true }
    }
  }

  /// dtype and shape, or the kind, as text: `float32[batch, 3]`.
  package var text: String { kind.text }
}

extension [ValueType?] {
  /// The type at `index`; nil where the input is absent or unknown.
  package func type(_ index: Int) -> ValueType? { index < count ? self[index] : nil }
}
