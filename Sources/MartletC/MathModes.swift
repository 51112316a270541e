import CMartlet
import MartletCore

// Section 5 of martlet.h.

@_cdecl("martlet_set_float32_fast_math_mode") @implementation
public func martlet_set_float32_fast_math_mode(_ name: UnsafePointer<CChar>?) -> martlet_status {
  boundary { () throws(MartletError) in
    MathMode.setProcess(try MathMode(name: try text(name, "name")))
  }
}

@_cdecl("martlet_get_float32_fast_math_mode") @implementation
public func martlet_get_float32_fast_math_mode() -> UnsafePointer<CChar>? {
  InternedStrings.pointer(MathMode.effective().description)
}

@_cdecl("martlet_math_mode_set") @implementation
public func martlet_math_mode_set(_ mode: martlet_math_mode) -> martlet_status {
  boundary { () throws(MartletError) in MathMode.setProcess(try mathMode(mode)) }
}

@_cdecl("martlet_math_mode_get") @implementation
public func martlet_math_mode_get() -> martlet_math_mode {
  infallible { MathMode.process.rawValue }
}

@_cdecl("martlet_math_mode_effective") @implementation
public func martlet_math_mode_effective() -> martlet_math_mode {
  infallible { MathMode.effective().rawValue }
}

@_cdecl("martlet_math_mode_push") @implementation
public func martlet_math_mode_push(_ mode: martlet_math_mode) -> martlet_status {
  boundary { () throws(MartletError) in try MathMode.pushScope(try mathMode(mode)) }
}

@_cdecl("martlet_math_mode_pop") @implementation
public func martlet_math_mode_pop() -> martlet_status {
  boundary { () throws(MartletError) in try MathMode.popScope() }
}

@_cdecl("martlet_math_mode_from_name") @implementation
public func martlet_math_mode_from_name(
  _ name: UnsafePointer<CChar>?, _ mode: UnsafeMutablePointer<martlet_math_mode>?
) -> martlet_status {
  mode?.pointee = noMode
  return boundary { () throws(MartletError) in
    let mode = try required(mode, "mode")
    mode.pointee = try MathMode(name: try text(name, "name")).rawValue
  }
}

@_cdecl("martlet_math_mode_name") @implementation
public func martlet_math_mode_name(_ mode: martlet_math_mode) -> UnsafePointer<CChar>? {
  let name = MathMode(rawValue: mode)?.description
  return InternedStrings.pointer(name ?? (mode == noMode ? "DEFAULT" : "UNKNOWN"))
}

/// MARTLET_MATH_DEFAULT.
private let noMode: martlet_math_mode = -1
