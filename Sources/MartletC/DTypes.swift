import CMartlet
import MartletCore

// Sections 6 and 7 of martlet.h.

@_cdecl("martlet_memory_in_use") @implementation
public func martlet_memory_in_use() -> Int64 {
  Int64(Storage.bytesInUse)
}

@_cdecl("martlet_dtype_name") @implementation
public func martlet_dtype_name(_ dtype: martlet_dtype) -> UnsafePointer<CChar>? {
  InternedStrings.pointer(DType(rawValue: dtype)?.description ?? "unknown")
}

@_cdecl("martlet_dtype_size") @implementation
public func martlet_dtype_size(_ dtype: martlet_dtype) -> Int {
  guard let dtype = DType(rawValue: dtype), !dtype.isPacked, dtype != .string else { return 0 }
  return dtype.wholeByteCount
}

@_cdecl("martlet_dtype_bits") @implementation
public func martlet_dtype_bits(_ dtype: martlet_dtype) -> Int32 {
  Int32(DType(rawValue: dtype).map { $0 == .string ? 0 : $0.bitWidth } ?? 0)
}
