import CMartlet
import MartletCore
import MartletOperators
import Synchronization

/// What a `martlet_tensor` handle stands for: a tensor, its shape as C sees it and, for a packed
/// weight, the operators that hold its rearranged forms.
///
/// @unchecked Sendable: `extents` is written before anybody else sees the object.
final class TensorObject: HandleObject, @unchecked Sendable {
  static let kind = HandleKind.tensor

  let tensor: Tensor
  /// Whether this is a packed weight.
  let isPacked: Bool
  /// The shape and then the strides.
  let extents: UnsafeMutablePointer<Int64>
  /// The same as a plain matrix, where it is one.
  let plain: PlainMatrix?
  /// Panels of a packed weight, shared by its operators.
  let constants: PreparedConstants?
  private let prepared = Mutex<[String: any Operator]>([:])
  private let product = Mutex<(any PlainMatrixProduct)?>(nil)

  init(_ tensor: Tensor, isPacked: Bool = false) {
    self.tensor = tensor
    self.isPacked = isPacked
    constants = isPacked ? PreparedConstants() : nil
    plain = PlainMatrix(tensor)
    extents = .allocate(capacity: 2 * tensor.rank + 1)
    for (axis, extent) in tensor.shape.enumerated() { extents[axis] = Int64(extent) }
    for (axis, stride) in tensor.strides.enumerated() {
      extents[tensor.rank + axis] = Int64(stride)
    }
    extents[2 * tensor.rank] = 0
  }

  deinit { extents.deallocate() }

  /// The product without options that holds this packed weight's panels, once it was made.
  var plainProduct: (any PlainMatrixProduct)? {
    get { product.withLock { $0 } }
    set { product.withLock { $0 = newValue } }
  }

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

  /// The operator that was made for this weight under `key`, made now if it was not.
  ///
  /// Two threads that come first at once may both make it; one of the two is kept.
  func operation(
    _ key: String, _ make: () throws(MartletError) -> any Operator
  ) throws(MartletError) -> any Operator {
    if let known = prepared.withLock({ $0[key] }) { return known }
    let made = try make()
    return prepared.withLock { prepared in
      if let known = prepared[key] { return known }
      prepared[key] = made
      return made
    }
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
