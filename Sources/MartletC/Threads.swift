import CMartlet
import MartletCore

// Section 4 of martlet.h.

@_cdecl("martlet_set_num_threads") @implementation
public func martlet_set_num_threads(_ count: Int32) -> martlet_status {
  boundary { () throws(MartletError) in try ThreadPool.shared.setThreadCount(Int(count)) }
}

@_cdecl("martlet_get_num_threads") @implementation
public func martlet_get_num_threads() -> Int32 {
  infallible { Int32(clamping: ThreadPool.shared.threadCount) }
}

@_cdecl("martlet_set_spin_microseconds") @implementation
public func martlet_set_spin_microseconds(_ microseconds: Int32) -> martlet_status {
  boundary { () throws(MartletError) in
    try ThreadPool.shared.setSpinMicroseconds(Int(microseconds))
  }
}

@_cdecl("martlet_get_spin_microseconds") @implementation
public func martlet_get_spin_microseconds() -> Int32 {
  infallible { Int32(clamping: ThreadPool.shared.spinMicroseconds) }
}

@_cdecl("martlet_set_parallel_for") @implementation
public func martlet_set_parallel_for(
  _ function: martlet_parallel_for?, _ user: UnsafeMutableRawPointer?
) -> martlet_status {
  boundary { () throws(MartletError) in
    ThreadPool.shared.setExternal(function.map { unsafeBitCast($0, to: External.self) }, user: user)
  }
}

/// The same C function type; the imported one takes `task` as an optional.
private typealias External = ThreadPool.ExternalParallelFor
