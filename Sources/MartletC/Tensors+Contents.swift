import CMartlet
import Glibc
import MartletCore
import MartletGraph
import MartletOperators

// Section 8 of martlet.h: what is in a tensor.

@_cdecl("martlet_tensor_dtype") @implementation
public func martlet_tensor_dtype(
  _ tensor: OpaquePointer?, _ dtype: UnsafeMutablePointer<martlet_dtype>?
) -> martlet_status {
  dtype?.pointee = 0
  return boundary { () throws(MartletError) in
    let tensor = try HandleTable.shared.tensor(tensor, "tensor")
    try required(dtype, "dtype").pointee = tensor.dtype.rawValue
  }
}

@_cdecl("martlet_tensor_shape") @implementation
public func martlet_tensor_shape(
  _ tensor: OpaquePointer?, _ rank: UnsafeMutablePointer<Int32>?,
  _ shape: UnsafeMutablePointer<UnsafePointer<Int64>?>?
) -> martlet_status {
  rank?.pointee = 0
  shape?.pointee = nil
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(tensor, "tensor", as: TensorObject.self)
    rank?.pointee = Int32(clamping: object.tensor.rank)
    shape?.pointee = UnsafePointer(object.extents)
  }
}

@_cdecl("martlet_tensor_strides") @implementation
public func martlet_tensor_strides(
  _ tensor: OpaquePointer?, _ strides: UnsafeMutablePointer<UnsafePointer<Int64>?>?
) -> martlet_status {
  strides?.pointee = nil
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(tensor, "tensor", as: TensorObject.self)
    try required(strides, "strides").pointee = UnsafePointer(object.extents + object.tensor.rank)
  }
}

@_cdecl("martlet_tensor_element_count") @implementation
public func martlet_tensor_element_count(
  _ tensor: OpaquePointer?, _ count: UnsafeMutablePointer<Int64>?
) -> martlet_status {
  count?.pointee = 0
  return boundary { () throws(MartletError) in
    let tensor = try HandleTable.shared.tensor(tensor, "tensor")
    try required(count, "count").pointee = Int64(tensor.count)
  }
}

@_cdecl("martlet_tensor_byte_count") @implementation
public func martlet_tensor_byte_count(
  _ tensor: OpaquePointer?, _ bytes: UnsafeMutablePointer<Int>?
) -> martlet_status {
  bytes?.pointee = 0
  return boundary { () throws(MartletError) in
    let tensor = try HandleTable.shared.tensor(tensor, "tensor")
    try required(bytes, "bytes").pointee = tensor.byteCount
  }
}

@_cdecl("martlet_tensor_is_contiguous") @implementation
public func martlet_tensor_is_contiguous(
  _ tensor: OpaquePointer?, _ is_contiguous: UnsafeMutablePointer<Bool>?
) -> martlet_status {
  is_contiguous?.pointee = false
  return boundary { () throws(MartletError) in
    let tensor = try HandleTable.shared.tensor(tensor, "tensor")
    try required(is_contiguous, "is_contiguous").pointee = tensor.isContiguous
  }
}

@_cdecl("martlet_tensor_is_read_only") @implementation
public func martlet_tensor_is_read_only(
  _ tensor: OpaquePointer?, _ is_read_only: UnsafeMutablePointer<Bool>?
) -> martlet_status {
  is_read_only?.pointee = false
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(tensor, "tensor", as: TensorObject.self)
    try required(is_read_only, "is_read_only").pointee = object.isReadOnly
  }
}

@_cdecl("martlet_tensor_data") @implementation
public func martlet_tensor_data(
  _ tensor: OpaquePointer?, _ data: UnsafeMutablePointer<UnsafeRawPointer?>?
) -> martlet_status {
  data?.pointee = nil
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(tensor, "tensor", as: TensorObject.self)
    try required(data, "data").pointee = UnsafeRawPointer(try object.bytes())
  }
}

@_cdecl("martlet_tensor_mutable_data") @implementation
public func martlet_tensor_mutable_data(
  _ tensor: OpaquePointer?, _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> martlet_status {
  data?.pointee = nil
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(tensor, "tensor", as: TensorObject.self)
    guard !object.isReadOnly else {
      throw MartletError(
        .invalidArgument, "the tensor is read-only", input: "tensor",
        expected: "a writable tensor", actual: "a read-only tensor")
    }
    try required(data, "data").pointee = try object.bytes()
  }
}

@_cdecl("martlet_tensor_read") @implementation
public func martlet_tensor_read(
  _ tensor: OpaquePointer?, _ buffer: UnsafeMutableRawPointer?, _ buffer_bytes: Int
) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(tensor, "tensor", as: TensorObject.self)
    _ = try object.bytes()
    let tensor = object.tensor
    let bytes = tensor.byteCount
    guard try size(buffer_bytes, "buffer_bytes") >= bytes else {
      throw MartletError(
        .invalidShape, "buffer has \(buffer_bytes) bytes, the elements take \(bytes)",
        input: "buffer_bytes", expected: "at least \(bytes)", actual: "\(buffer_bytes)")
    }
    guard bytes > 0 else { return }
    let target = Storage(
      borrowing: try required(buffer, "buffer"), byteCount: bytes, isReadOnly: false)
    tensor.copyElements(
      to: Tensor(
        unchecked: target, dtype: tensor.dtype, shape: tensor.shape,
        strides: Shape.contiguousStrides(tensor.shape), byteOffset: 0))
  }
}

@_cdecl("martlet_tensor_copy") @implementation
public func martlet_tensor_copy(
  _ tensor: OpaquePointer?, _ copy: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(copy, "copy")
    let tensor = try HandleTable.shared.tensor(tensor, "tensor")
    // What goes to the caller's tensor is copied there and nowhere else.
    try slots.receive([slots.given[0] == nil ? try tensor.copied() : tensor], slots.destinations())
  }
}

@_cdecl("martlet_tensor_convert") @implementation
public func martlet_tensor_convert(
  _ tensor: OpaquePointer?, _ dtype: martlet_dtype,
  _ converted: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let slots = try ResultSlots(converted, "converted")
    let tensor = try HandleTable.shared.tensor(tensor, "tensor")
    let type = try MartletC.dtype(dtype)
    if type == tensor.dtype {
      try slots.receive(
        [slots.given[0] == nil ? try tensor.copied() : tensor], slots.destinations())
      return
    }
    try OperatorCall("Cast", ["to": .int(Int(type.rawValue))]).run([tensor], into: slots)
  }
}
