import Glibc

extension Tensor {
  /// Copies the elements into `destination`, of the same dtype and shape and any strides.
  ///
  /// The caller has checked dtype and shape; the two do not overlap.
  package func copyElements(to destination: Tensor) {
    guard count > 0 else { return }
    defer { destination.storage.texts?.seal() }
    if isContiguous && destination.isContiguous {
      memcpy(destination.pointer, pointer, byteCount)
      return
    }
    let size = dtype.wholeByteCount
    copyAxis(
      0, from: UnsafeRawPointer(pointer), sourceStrides: strides.map { $0 * size },
      to: destination.pointer, destinationStrides: destination.strides.map { $0 * size }, size)
  }

  /// A contiguous copy in memory of its own.
  package func copied() throws(MartletError) -> Tensor {
    let result = try Tensor(uninitialized: dtype, shape)
    copyElements(to: result)
    return result
  }

  /// Walks the axes outermost first; the innermost is one memcpy where both sides are dense.
  private func copyAxis(
    _ axis: Int, from source: UnsafeRawPointer, sourceStrides: [Int],
    to destination: UnsafeMutableRawPointer, destinationStrides: [Int], _ size: Int
  ) {
    guard axis < shape.count else {
      memcpy(destination, source, size)
      return
    }
    let (step, destinationStep) = (sourceStrides[axis], destinationStrides[axis])
    if axis == shape.count - 1 {
      if step == size && destinationStep == size {
        memcpy(destination, source, shape[axis] * size)
      } else {
        for index in 0..<shape[axis] {
          memcpy(destination + index * destinationStep, source + index * step, size)
        }
      }
      return
    }
    for index in 0..<shape[axis] {
      copyAxis(
        axis + 1, from: source + index * step, sourceStrides: sourceStrides,
        to: destination + index * destinationStep, destinationStrides: destinationStrides, size)
    }
  }

  /// Whether the elements lie at multiples of their size.
  package var isAligned: Bool { UInt(bitPattern: pointer) % UInt(dtype.alignment) == 0 }

  /// The addresses that the elements occupy, lowest and one past the highest; nil when empty.
  package var addressRange: Range<UInt>? {
    guard count > 0 else { return nil }
    let start = UInt(bitPattern: pointer)
    if isContiguous { return start..<start &+ UInt(byteCount) }
    let size = dtype.wholeByteCount
    var (low, high) = (0, size)
    for (extent, stride) in zip(shape, strides) {
      let span = (extent - 1) * stride * size
      if span < 0 { low += span } else { high += span }
    }
    return start &+ UInt(bitPattern: low)..<start &+ UInt(bitPattern: high)
  }

  /// Lets go of the memory of a constant in a mapped file until somebody reads it.
  package func letGoOfPages() {
    guard let range = addressRange else { return }
    let start = UInt(bitPattern: storage.base)
    storage.letGo(of: Int(range.lowerBound - start)..<Int(range.upperBound - start))
  }

  /// Whether the elements of both, of one shape and dtype, lie at the same places.
  package func isSameView(as other: Tensor) -> Bool {
    storage === other.storage && byteOffset == other.byteOffset && strides == other.strides
  }
}
