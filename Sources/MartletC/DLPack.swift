import CMartlet
import MartletCore
import MartletPlatform

// Section 9 of martlet.h.

@_cdecl("martlet_tensor_from_dlpack") @implementation
public func martlet_tensor_from_dlpack(
  _ managed: OpaquePointer?, _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    let managed = UnsafeMutablePointer<mp_dl_managed>(try required(managed, "managed"))
    guard managed.pointee.version_major == 1 else {
      throw MartletError(
        .unsupported, "DLPack major version \(managed.pointee.version_major) is not supported",
        input: "managed", expected: "version 1", actual: "\(managed.pointee.version_major)")
    }
    result.pointee = try importTensor(managed)
  }
}

@_cdecl("martlet_tensor_to_dlpack") @implementation
public func martlet_tensor_to_dlpack(
  _ tensor: OpaquePointer?, _ managed: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  managed?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(managed, "managed")
    let object = try HandleTable.shared.resolve(tensor, "tensor", as: TensorObject.self)
    result.pointee = OpaquePointer(try exportTensor(object))
  }
}

// MARK: - In

private func importTensor(_ managed: UnsafeMutablePointer<mp_dl_managed>) throws(MartletError)
  -> OpaquePointer
{
  let source = managed.pointee.tensor
  guard [Int32(MP_DL_CPU), Int32(MP_DL_CUDA_HOST)].contains(source.device_type) else {
    throw MartletError(
      .unsupported, "the tensor is on DLPack device type \(source.device_type), not on the CPU",
      input: "managed", expected: "kDLCPU", actual: "\(source.device_type)")
  }
  let dtype = try importType(source)
  guard !dtype.isPacked || managed.pointee.flags & UInt64(MP_DL_SUBBYTE_PADDED) == 0 else {
    throw MartletError(
      .unsupported, "a DLPack tensor of \(dtype) with an element to a byte is not supported",
      input: "managed", expected: "packed elements", actual: "padded elements")
  }
  let shape = try extents(source.shape, source.ndim, "shape")
  let strides =
    source.strides == nil
    ? Shape.contiguousStrides(try checked(shape, dtype))
    : try extents(source.strides, source.ndim, "strides")
  let (lowest, byteCount) = try span(try checked(shape, dtype), strides, dtype)
  var base: UnsafeMutableRawPointer?
  if let data = source.data {
    let (first, overflow) = UInt(bitPattern: data).addingReportingOverflow(
      UInt(source.byte_offset))
    guard !overflow else {
      throw MartletError(
        .invalidShape, "byte_offset reaches past what can be addressed", input: "byte_offset",
        actual: "\(source.byte_offset)")
    }
    base = UnsafeMutableRawPointer(bitPattern: first &+ UInt(bitPattern: lowest))
  }
  let memory = BorrowedMemory(
    base: base, byteCount: byteCount,
    isReadOnly: managed.pointee.flags & UInt64(MP_DL_READ_ONLY) != 0,
    release: { managed.pointee.deleter?(managed) })
  return try memory.makeHandle(dtype, shape, strides: strides, byteOffset: -lowest)
}

/// `shape`, known to have a size that fits.
private func checked(_ shape: [Int], _ dtype: DType) throws(MartletError) -> [Int] {
  _ = try Shape.byteCount(shape, dtype)
  return shape
}

/// Bytes from the element at index 0, 0, … to the lowest one (never positive), and from there past
/// the highest.
private func span(_ shape: [Int], _ strides: [Int], _ dtype: DType) throws(MartletError)
  -> (lowest: Int, byteCount: Int)
{
  guard !shape.contains(0) else { return (0, 0) }
  // Packed elements in any other order are refused when the tensor is made.
  if dtype.isPacked { return (0, try Shape.byteCount(shape, dtype)) }
  let limit = Int.max / 4
  var lowest = 0
  var highest = 0
  for (extent, stride) in zip(shape, strides) {
    let (steps, overflow1) = (extent - 1).multipliedReportingOverflow(by: stride)
    let (bytes, overflow2) = steps.multipliedReportingOverflow(by: dtype.wholeByteCount)
    guard !overflow1, !overflow2, bytes > -limit, bytes < limit, highest < limit,
      lowest > -limit
    else {
      throw MartletError(
        .invalidShape, "strides \(Shape.text(strides)) reach past what can be addressed",
        input: "strides", actual: Shape.text(strides))
    }
    if bytes < 0 { lowest += bytes } else { highest += bytes }
  }
  return (lowest, highest - lowest + dtype.wholeByteCount)
}

private func importType(_ source: mp_dl_tensor) throws(MartletError) -> DType {
  let match = DType.allCases.first { dtype in
    guard let (code, bits) = exportType(dtype) else { return false }
    return code == source.type_code && bits == source.type_bits
  }
  guard let match, source.type_lanes == 1 else {
    let actual =
      "code \(source.type_code), \(source.type_bits) bits, \(source.type_lanes) lanes"
    throw MartletError(
      .invalidDType, "no dtype corresponds to DLPack \(actual)", input: "managed", actual: actual)
  }
  return match
}

// MARK: - Out

/// nil: DLPack has no code for it.
private func exportType(_ dtype: DType) -> (code: UInt8, bits: UInt8)? {
  guard dtype != .string else { return nil }
  let code =
    switch dtype {
    case .string: MP_DL_UINT
    case .bfloat16: MP_DL_BFLOAT
    case .bool: MP_DL_BOOL
    case .float16, .float32, .float64: MP_DL_FLOAT
    case .int2, .int4, .int8, .int16, .int32, .int64: MP_DL_INT
    case .uint2, .uint4, .uint8, .uint16, .uint32, .uint64: MP_DL_UINT
    case .float8e4m3fn: MP_DL_FLOAT8_E4M3FN
    case .float8e4m3fnuz: MP_DL_FLOAT8_E4M3FNUZ
    case .float8e5m2: MP_DL_FLOAT8_E5M2
    case .float8e5m2fnuz: MP_DL_FLOAT8_E5M2FNUZ
    case .float8e8m0: MP_DL_FLOAT8_E8M0FNU
    case .float6e2m3: MP_DL_FLOAT6_E2M3FN
    case .float6e3m2: MP_DL_FLOAT6_E3M2FN
    case .float4e2m1: MP_DL_FLOAT4_E2M1FN
    }
  return (UInt8(truncatingIfNeeded: code), UInt8(truncatingIfNeeded: dtype.bitWidth))
}

private func exportTensor(_ object: TensorObject) throws(MartletError)
  -> UnsafeMutablePointer<mp_dl_managed>
{
  // The consumer's reference is a handle like any other, kept in manager_ctx; it keeps the shape
  // and the strides too.
  guard let (code, bits) = exportType(object.tensor.dtype) else {
    throw MartletError(
      .invalidDType, "DLPack has no code for \(object.tensor.dtype)", input: "tensor",
      expected: "a dtype of DLPack", actual: "\(object.tensor.dtype)")
  }
  let handle = try HandleTable.shared.create(object)
  let managed = UnsafeMutablePointer<mp_dl_managed>.allocate(capacity: 1)
  managed.initialize(to: mp_dl_managed())
  managed.pointee.version_major = 1
  // The first with codes for floats of 8 bits and less.
  managed.pointee.version_minor = 1
  managed.pointee.manager_ctx = UnsafeMutableRawPointer(handle)
  managed.pointee.flags = object.isReadOnly ? UInt64(MP_DL_READ_ONLY) : 0
  managed.pointee.tensor.data = object.tensor.pointer
  managed.pointee.tensor.device_type = Int32(MP_DL_CPU)
  managed.pointee.tensor.ndim = Int32(clamping: object.tensor.rank)
  managed.pointee.tensor.type_code = code
  managed.pointee.tensor.type_bits = bits
  managed.pointee.tensor.type_lanes = 1
  managed.pointee.tensor.shape = object.extents
  managed.pointee.tensor.strides = object.extents + object.tensor.rank
  managed.pointee.deleter = { managed in
    guard let managed else { return }
    let handle = managed.pointee.manager_ctx.map { OpaquePointer($0) }
    managed.deallocate()
    _ = boundary("martlet_dlpack_deleter") { () throws(MartletError) in
      try HandleTable.shared.release(handle, "managed", .tensor)
    }
  }
  return managed
}
