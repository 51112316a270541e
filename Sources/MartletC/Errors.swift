import CMartlet
import MartletCore

// Section 2 of martlet.h.

@_cdecl("martlet_last_error") @implementation
public func martlet_last_error() -> UnsafePointer<martlet_error>? {
  LastError.current
}

@_cdecl("martlet_status_name") @implementation
public func martlet_status_name(_ status: martlet_status) -> UnsafePointer<CChar>? {
  InternedStrings.pointer(name(of: status))
}

private func name(of status: martlet_status) -> String {
  if status == MartletStatus.ok { return "OK" }
  switch MartletError.Code(rawValue: status) {
  case .invalidArgument: return "INVALID_ARGUMENT"
  case .invalidShape: return "INVALID_SHAPE"
  case .invalidDType: return "INVALID_DTYPE"
  case .notFound: return "NOT_FOUND"
  case .io: return "IO"
  case .invalidModel: return "INVALID_MODEL"
  case .unsupported: return "UNSUPPORTED"
  case .outOfMemory: return "OUT_OF_MEMORY"
  case .cancelled: return "CANCELLED"
  case .invalidHandle: return "INVALID_HANDLE"
  case .invalidState: return "INVALID_STATE"
  case .internalError: return "INTERNAL_ERROR"
  case .limitExceeded: return "LIMIT_EXCEEDED"
  case nil: return "UNKNOWN"
  }
}
