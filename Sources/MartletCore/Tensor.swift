/// An n-dimensional array: a view of a storage with a dtype, a shape and strides.
///
/// A value type: copying a tensor copies the view, not the elements.
package struct Tensor: Sendable {
  package let storage: Storage
  package let layout: TensorLayout
  /// Bytes from the storage's base to the element at index 0, 0, ….
  package let byteOffset: Int
  package let dtype: DType

  /// A new contiguous tensor with uninitialised elements, whose memory counts against `allowance`;
  /// strings are empty.
  package init(
    uninitialized dtype: DType, _ shape: [Int], _ allowance: RunAllowance? = nil
  ) throws(MartletError) {
    let bytes = try Shape.byteCount(shape, dtype)
    self.init(
      unchecked: dtype == .string
        ? try Storage(stringCount: Shape.elementCount(shape), allowance)
        : try Storage(byteCount: bytes, allowance),
      dtype: dtype,
      layout: TensorLayout(contiguous: shape), byteOffset: 0)
  }

  /// A view of `storage`; throws `invalidShape` unless every element lies inside it, and for packed
  /// elements that are not contiguous.
  package init(
    storage: Storage, dtype: DType, shape: [Int], strides: [Int]? = nil, byteOffset: Int = 0
  ) throws(MartletError) {
    let count = try Shape.elementCount(shape)
    _ = try Shape.byteCount(shape, dtype)
    guard (dtype == .string) == (storage.texts != nil) else {
      throw MartletError(
        .invalidDType, "bytes cannot be taken for strings, nor strings for numbers",
        expected: dtype == .string ? "memory of a string tensor" : "memory of numbers",
        actual: "\(dtype)")
    }
    let strides = strides ?? Shape.contiguousStrides(shape)
    guard strides.count == shape.count else {
      throw MartletError(
        .invalidShape, "\(strides.count) strides were given for \(shape.count) dimensions",
        expected: "\(shape.count)", actual: "\(strides.count)")
    }
    guard !dtype.isPacked || TensorLayout(shape: shape, strides: strides).isContiguous else {
      throw Tensor.packedError(dtype, shape, strides)
    }
    guard
      Tensor.fits(
        count: count, shape: shape, strides: strides, dtype: dtype, byteOffset: byteOffset,
        in: storage.byteCount)
    else {
      throw MartletError(
        .invalidShape,
        "a \(dtype) tensor of shape \(Shape.text(shape)) with strides \(Shape.text(strides)) at byte \(byteOffset) leaves its buffer of \(storage.byteCount) bytes",
        expected: "at most \(storage.byteCount) bytes", actual: Shape.text(shape))
    }
    // Strides that nothing moves by may be anything; arithmetic on them must not overflow.
    let reach = max(storage.byteCount, 1 << 32)
    self.init(
      unchecked: storage, dtype: dtype, shape: shape,
      strides: strides.contains { $0 > reach || $0 < -reach }
        ? strides.map { $0 > reach || $0 < -reach ? 0 : $0 } : strides, byteOffset: byteOffset)
  }

  /// Why elements of less than a byte cannot lie like this.
  static func packedError(_ dtype: DType, _ shape: [Int], _ strides: [Int]) -> MartletError {
    MartletError(
      .invalidShape,
      "a \(dtype) tensor of shape \(Shape.text(shape)) has strides \(Shape.text(strides)): elements of \(dtype.bitWidth) bits must lie one after another",
      expected: "strides \(Shape.text(Shape.contiguousStrides(shape)))",
      actual: Shape.text(strides))
  }

  /// A view whose bounds the caller has proved.
  package init(
    unchecked storage: Storage, dtype: DType, shape: [Int], strides: [Int], byteOffset: Int
  ) {
    self.init(
      unchecked: storage, dtype: dtype, layout: TensorLayout(shape: shape, strides: strides),
      byteOffset: byteOffset)
  }

  /// A view whose bounds the caller has proved.
  package init(unchecked storage: Storage, dtype: DType, layout: TensorLayout, byteOffset: Int) {
    self.storage = storage
    self.layout = layout
    self.byteOffset = byteOffset
    self.dtype = dtype
  }

  // Inlined in other modules: small nodes ask for these more often than they compute.

  /// Extents, outermost first; empty for a scalar.
  @inlinable package var shape: [Int] { layout.shape }
  /// Elements between neighbours along each axis; may be zero or negative.
  @inlinable package var strides: [Int] { layout.strides }
  @inlinable package var rank: Int { layout.shape.count }
  /// Number of elements.
  @inlinable package var count: Int { layout.count }
  @inlinable package var isContiguous: Bool { layout.isContiguous }
  /// Bytes that the elements take without gaps.
  package var byteCount: Int { dtype.byteCount(of: layout.count) }

  /// Whether both are the same elements of the same memory, in the same order.
  @inlinable
  package func isSamePlace(as other: Tensor) -> Bool {
    storage === other.storage && byteOffset == other.byteOffset && dtype == other.dtype
      && (layout === other.layout || layout.isEqual(other.layout))
  }

  /// The address of the element at index 0, 0, …. Valid while `storage` lives.
  @inlinable package var pointer: UnsafeMutableRawPointer { storage.base + byteOffset }

  /// The elements' address as `T`; the caller has checked the dtype.
  @inlinable
  package func typed<T>(_: T.Type) -> UnsafeMutablePointer<T> {
    pointer.assumingMemoryBound(to: T.self)
  }

  private static func fits(
    count: Int, shape: [Int], strides: [Int], dtype: DType, byteOffset: Int, in capacity: Int
  ) -> Bool {
    guard byteOffset >= 0, byteOffset <= capacity else { return false }
    if count == 0 { return true }
    if dtype.isPacked {
      // Contiguous, as was seen before.
      return dtype.byteCount(of: count) <= capacity - byteOffset
    }
    let size = dtype.wholeByteCount
    var lowest = byteOffset
    var highest = byteOffset
    for (extent, stride) in zip(shape, strides) {
      let (span, overflow1) = (extent - 1).multipliedReportingOverflow(by: stride)
      let (bytes, overflow2) = span.multipliedReportingOverflow(by: size)
      guard !overflow1, !overflow2 else { return false }
      let (moved, overflow3) = (bytes < 0 ? lowest : highest).addingReportingOverflow(bytes)
      guard !overflow3 else { return false }
      if bytes < 0 { lowest = moved } else { highest = moved }
    }
    let (end, overflow) = highest.addingReportingOverflow(size)
    return !overflow && lowest >= 0 && end <= capacity
  }
}
