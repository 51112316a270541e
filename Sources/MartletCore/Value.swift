/// What slots, operators and handles carry.
package enum Value: Sendable {
  case tensor(Tensor)
  /// Values of one kind, in order.
  case sequence(ValueSequence)
  /// A value that may be missing: nil where it is.
  indirect case optional(Value?)

  /// The tensor, where it is one.
  package var tensor: Tensor? {
    if case .tensor(let tensor) = self { return tensor }
    return nil
  }

  /// What it is, for messages: `float32[2, 3]`, `a sequence of 3`, `an empty optional`.
  package var summary: String {
    switch self {
    case .tensor(let tensor): "\(tensor.dtype)\(Shape.text(tensor.shape))"
    case .sequence(let sequence): "a sequence of \(sequence.elements.count)"
    case .optional(nil): "an empty optional"
    case .optional(let value?): "an optional of \(value.summary)"
    }
  }
}

/// The elements of a sequence: immutable, shared by the values that hold it.
package final class ValueSequence: Sendable {
  /// The element type of the tensors in it; nil where an empty sequence does not say.
  package let dtype: DType?
  package let elements: [Value]

  package init(_ elements: [Value], dtype: DType? = nil) {
    self.elements = elements
    self.dtype = dtype ?? elements.first?.tensor?.dtype
  }
}
