/// Views: other shapes and orders of the same elements, without a copy.
///
/// Packed elements have no view in another order: who wants one unpacks them first.
extension Tensor {
  /// The same elements in another shape; the tensor must be contiguous and the counts equal.
  package func reshaped(_ newShape: [Int]) throws(MartletError) -> Tensor {
    let newCount = try Shape.elementCount(newShape)
    guard isContiguous, newCount == count else {
      throw MartletError(
        .invalidShape,
        "cannot view \(Shape.text(shape)) as \(Shape.text(newShape))"
          + (isContiguous ? "" : " (not contiguous)"),
        expected: "\(count) elements", actual: "\(newCount)")
    }
    return Tensor(
      unchecked: storage, dtype: dtype, shape: newShape,
      strides: Shape.contiguousStrides(newShape), byteOffset: byteOffset)
  }

  /// Axes reordered: axis i of the result is axis `permutation[i]` of this one.
  package func permuted(_ permutation: [Int]) throws(MartletError) -> Tensor {
    guard permutation.sorted() == Array(0..<rank) else {
      throw MartletError(
        .invalidShape, "\(Shape.text(permutation)) is not a permutation of \(rank) axes",
        expected: "each of 0..<\(rank) once", actual: Shape.text(permutation))
    }
    return try view(permutation.map { shape[$0] }, permutation.map { strides[$0] })
  }

  /// Repeated along new or unit axes (stride 0) to `newShape`, as NumPy's `broadcast_to`.
  package func broadcast(to newShape: [Int]) throws(MartletError) -> Tensor {
    let lead = newShape.count - rank
    _ = try Shape.byteCount(newShape, dtype)
    var newStrides = [Int](repeating: 0, count: newShape.count)
    guard lead >= 0 else { throw broadcastError(newShape) }
    for axis in 0..<rank {
      if shape[axis] == newShape[lead + axis] {
        newStrides[lead + axis] = strides[axis]
      } else if shape[axis] != 1 {
        throw broadcastError(newShape)
      }
    }
    return try view(newShape, newStrides)
  }

  private func view(_ newShape: [Int], _ newStrides: [Int]) throws(MartletError) -> Tensor {
    let layout = TensorLayout(shape: newShape, strides: newStrides)
    guard !dtype.isPacked || layout.isContiguous else {
      throw Tensor.packedError(dtype, newShape, newStrides)
    }
    return Tensor(unchecked: storage, dtype: dtype, layout: layout, byteOffset: byteOffset)
  }

  /// `count` elements along `axis` from `start`, every `step`-th (step may be negative).
  /// The caller has clamped start and count so that all lie inside; elements are not packed.
  package func sliced(axis: Int, start: Int, count: Int, step: Int) -> Tensor {
    var newShape = shape
    var newStrides = strides
    newShape[axis] = count
    newStrides[axis] = strides[axis] &* step
    let offset = self.count == 0 || count == 0 ? 0 : start * strides[axis] * dtype.wholeByteCount
    return Tensor(
      unchecked: storage, dtype: dtype, shape: newShape, strides: newStrides,
      byteOffset: byteOffset + offset)
  }

  /// The same elements with unit axes dropped or added: any shape reachable without moving elements.
  package func restrided(_ newShape: [Int], strides newStrides: [Int]) throws(MartletError)
    -> Tensor
  {
    try Tensor(
      storage: storage, dtype: dtype, shape: newShape, strides: newStrides, byteOffset: byteOffset)
  }

  private func broadcastError(_ newShape: [Int]) -> MartletError {
    MartletError(
      .invalidShape, "cannot broadcast \(Shape.text(shape)) to \(Shape.text(newShape))",
      expected: Shape.text(newShape), actual: Shape.text(shape))
  }

  /// The same elements, which may not be written through it; strings never can, once they are given.
  package var readOnly: Tensor {
    guard !storage.isReadOnly, storage.texts == nil else { return self }
    let owner = storage
    let view = Storage(borrowing: owner.base, byteCount: owner.byteCount, isReadOnly: true) {
      _ = owner
    }
    return Tensor(unchecked: view, dtype: dtype, layout: layout, byteOffset: byteOffset)
  }
}
