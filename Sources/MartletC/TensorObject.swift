import CMartlet
import MartletCore
import MartletOperators

/// What a `martlet_tensor` handle stands for: a tensor, its shape as C sees it and, for a packed
/// weight, its rearranged forms.
///
/// @unchecked Sendable: `extents` is written before anybody else sees the object.
final class TensorObject: HandleObject, @unchecked Sendable {
  static let kind = HandleKind.tensor

  let tensor: Tensor
  /// Nil: this is no packed weight.
  let packed: PackedWeight?
  /// The shape and then the strides.
  let extents: UnsafeMutablePointer<Int64>
  /// The same as a plain matrix, where it is one.
  let plain: PlainMatrix?

  init(_ tensor: Tensor, packed: PackedWeight? = nil) {
    self.tensor = tensor
    self.packed = packed
    plain = PlainMatrix(tensor)
    extents = .allocate(capacity: 2 * tensor.rank + 1)
    for (axis, extent) in tensor.shape.enumerated() { extents[axis] = Int64(extent) }
    for (axis, stride) in tensor.strides.enumerated() {
      extents[tensor.rank + axis] = Int64(stride)
    }
    extents[2 * tensor.rank] = 0
  }

  deinit { extents.deallocate() }

  var isPacked: Bool { packed != nil }

  /// Strings are never written to.
  var isReadOnly: Bool { isPacked || tensor.storage.isReadOnly || tensor.dtype == .string }

  /// The elements' memory; throws `invalidDType` for strings, which are no plain bytes.
  func bytes() throws(MartletError) -> UnsafeMutableRawPointer {
    guard tensor.dtype != .string else {
      throw MartletError(
        .invalidDType, "the elements of a string tensor are read one by one", input: "tensor",
        expected: "a tensor of numbers", actual: "string")
    }
    return tensor.pointer
  }
}

extension HandleTable {
  /// A new handle for `tensor`.
  func create(_ tensor: Tensor) throws(MartletError) -> OpaquePointer {
    try create(TensorObject(tensor))
  }

  /// The tensor of a handle.
  func tensor(_ handle: OpaquePointer?, _ parameter: String) throws(MartletError) -> Tensor {
    try resolve(handle, parameter, as: TensorObject.self).tensor
  }

  /// The tensor of a handle, or nil for NULL.
  func optionalTensor(_ handle: OpaquePointer?, _ parameter: String) throws(MartletError)
    -> Tensor?
  {
    try resolveOptional(handle, parameter, as: TensorObject.self)?.tensor
  }
}
