import CMartlet
import MartletCore

// Section 1 of martlet.h.

@_cdecl("martlet_version") @implementation
public func martlet_version() -> Int32 {
  MARTLET_VERSION_MAJOR * 10000 + MARTLET_VERSION_MINOR * 100 + MARTLET_VERSION_PATCH
}

@_cdecl("martlet_version_string") @implementation
public func martlet_version_string() -> UnsafePointer<CChar>? {
  InternedStrings.pointer(
    "\(MARTLET_VERSION_MAJOR).\(MARTLET_VERSION_MINOR).\(MARTLET_VERSION_PATCH)")
}
