import CMartlet
import Glibc
import MartletCore
import MartletGraph

// Section 8 of martlet.h: making tensors. `Tensors+Contents.swift` has the rest of it.

@_cdecl("martlet_tensor_create") @implementation
public func martlet_tensor_create(
  _ dtype: martlet_dtype, _ rank: Int32, _ shape: UnsafePointer<Int64>?,
  _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    result.pointee = try HandleTable.shared.create(try newTensor(dtype, rank, shape))
  }
}

@_cdecl("martlet_tensor_create_zeroed") @implementation
public func martlet_tensor_create_zeroed(
  _ dtype: martlet_dtype, _ rank: Int32, _ shape: UnsafePointer<Int64>?,
  _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    let value = try newTensor(dtype, rank, shape)
    memset(value.pointer, 0, value.byteCount)
    result.pointee = try HandleTable.shared.create(value)
  }
}

@_cdecl("martlet_tensor_from_data") @implementation
public func martlet_tensor_from_data(
  _ data: UnsafeRawPointer?, _ data_bytes: Int, _ dtype: martlet_dtype, _ rank: Int32,
  _ shape: UnsafePointer<Int64>?, _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    let type = try MartletC.dtype(dtype)
    let shape = try extents(shape, rank, "shape")
    let bytes = try Shape.byteCount(shape, type)
    guard bytes == data_bytes else {
      throw MartletError(
        .invalidShape,
        "data has \(UInt(bitPattern: data_bytes)) bytes, a \(type) tensor of shape \(Shape.text(shape)) takes \(bytes)",
        input: "data_bytes", expected: "\(bytes)", actual: "\(UInt(bitPattern: data_bytes))")
    }
    let value = try Tensor(uninitialized: type, shape)
    if bytes > 0 { memcpy(value.pointer, try required(data, "data"), bytes) }
    result.pointee = try HandleTable.shared.create(value)
  }
}

@_cdecl("martlet_tensor_wrap") @implementation
public func martlet_tensor_wrap(
  _ data: UnsafeMutableRawPointer?, _ data_bytes: Int, _ dtype: martlet_dtype, _ rank: Int32,
  _ shape: UnsafePointer<Int64>?, _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    let memory = BorrowedMemory(
      base: data, byteCount: try size(data_bytes, "data_bytes"), isReadOnly: false, release: nil)
    result.pointee = try memory.makeHandle(
      try MartletC.dtype(dtype), try extents(shape, rank, "shape"), strides: nil, byteOffset: 0)
  }
}

@_cdecl("martlet_tensor_wrap_strided") @implementation
public func martlet_tensor_wrap_strided(
  _ buffer: UnsafeMutableRawPointer?, _ buffer_bytes: Int, _ byte_offset: Int,
  _ dtype: martlet_dtype, _ rank: Int32, _ shape: UnsafePointer<Int64>?,
  _ strides: UnsafePointer<Int64>?, _ flags: UInt32, _ deleter: martlet_deleter?,
  _ deleter_context: UnsafeMutableRawPointer?, _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    guard flags & ~readOnlyFlag == 0 else {
      throw MartletError(
        .invalidArgument, "flags has unknown bits: \(flags)", input: "flags",
        expected: "0 or MARTLET_WRAP_READ_ONLY", actual: "\(flags)")
    }
    let memory = BorrowedMemory(
      base: buffer, byteCount: try size(buffer_bytes, "buffer_bytes"),
      isReadOnly: flags & readOnlyFlag != 0,
      release: deleter.map { deleter in { deleter(deleter_context, buffer) } })
    result.pointee = try memory.makeHandle(
      try MartletC.dtype(dtype), try extents(shape, rank, "shape"),
      strides: strides == nil ? nil : try extents(strides, rank, "strides"),
      byteOffset: try size(byte_offset, "byte_offset"))
  }
}

@_cdecl("martlet_tensor_retain") @implementation
public func martlet_tensor_retain(_ tensor: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.retain(tensor, "tensor", .tensor)
  }
}

@_cdecl("martlet_tensor_release") @implementation
public func martlet_tensor_release(_ tensor: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.release(tensor, "tensor", .tensor)
  }
}

/// MARTLET_WRAP_READ_ONLY.
private let readOnlyFlag: UInt32 = 1

private func newTensor(_ dtype: martlet_dtype, _ rank: Int32, _ shape: UnsafePointer<Int64>?)
  throws(MartletError) -> Tensor
{
  try Tensor(uninitialized: try MartletC.dtype(dtype), try extents(shape, rank, "shape"))
}
