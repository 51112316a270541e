/// Where the elements of a tensor lie: its shape and strides, and what follows from them. Immutable
/// and shared, so that handing a tensor on costs one retain for both.
package final class TensorLayout: Sendable {
  /// Extents, outermost first; empty for a scalar.
  package let shape: [Int]
  /// Elements between neighbours along each axis; may be zero or negative.
  package let strides: [Int]
  /// Number of elements.
  package let count: Int
  /// Whether the elements lie one after another in row-major order (as they do where there are none).
  package let isContiguous: Bool

  /// The shape must have passed `Shape.elementCount`; there is a stride for each extent.
  package init(shape: [Int], strides: [Int]) {
    self.shape = shape
    self.strides = strides
    var step = 1
    var isDense = true
    var isEmpty = false
    for axis in shape.indices.reversed() {
      let extent = shape[axis]
      if extent != 1 && strides[axis] != step { isDense = false }
      if extent == 0 { isEmpty = true }
      step &*= extent
    }
    count = isEmpty ? 0 : step
    isContiguous = isDense || isEmpty
  }

  /// Row-major. The shape must have passed `Shape.elementCount`.
  package convenience init(contiguous shape: [Int]) {
    self.init(shape: shape, strides: Shape.contiguousStrides(shape))
  }

  /// Whether both place the elements in the same way.
  package func isEqual(_ other: TensorLayout) -> Bool {
    self === other || (shape == other.shape && strides == other.strides)
  }
}
