import MartletCore

/// Memory of the caller's on its way into a tensor.
struct BorrowedMemory {
  /// NULL is fine for tensors without elements.
  let base: UnsafeMutableRawPointer?
  let byteCount: Int
  let isReadOnly: Bool
  /// Called once when nothing uses the memory any more, but only if a handle was made.
  let release: (() -> Void)?

  /// A handle for a tensor over the memory, with `strides` in elements (nil: no gaps).
  ///
  /// Throws `invalidShape` when an element lies outside the memory, `invalidArgument` for NULL where
  /// there are elements and for elements that are not aligned to their size.
  func makeHandle(
    _ dtype: DType, _ shape: [Int], strides: [Int]?, byteOffset: Int
  ) throws(MartletError) -> OpaquePointer {
    let isEmpty = try Shape.elementCount(shape) == 0
    let base = isEmpty ? (base ?? placeholder) : try required(base, "data")
    let owner = BorrowedOwner(release)
    let storage = Storage(borrowing: base, byteCount: byteCount, isReadOnly: isReadOnly) {
      owner.end()
    }
    let tensor = try Tensor(
      storage: storage, dtype: dtype, shape: shape, strides: strides, byteOffset: byteOffset)
    guard isEmpty || UInt(bitPattern: tensor.pointer) % UInt(dtype.alignment) == 0 else {
      throw MartletError(
        .invalidArgument,
        "the data of a \(dtype) tensor must be aligned to \(dtype.alignment) bytes", input: "data",
        expected: "an address that is a multiple of \(dtype.alignment)",
        actual: "\(tensor.pointer)")
    }
    let handle = try HandleTable.shared.create(tensor)
    owner.isArmed = true
    return handle
  }
}

/// Runs the caller's release once, unless the handle was never made.
///
/// @unchecked Sendable: armed before the handle is given out; ended once, by the storage's end.
private final class BorrowedOwner: @unchecked Sendable {
  var isArmed = false
  private let release: (() -> Void)?

  init(_ release: (() -> Void)?) { self.release = release }

  func end() {
    if isArmed { release?() }
  }
}

/// An address for tensors without elements.
nonisolated(unsafe) private let placeholder = UnsafeMutableRawPointer.allocate(
  byteCount: 64, alignment: 64)
