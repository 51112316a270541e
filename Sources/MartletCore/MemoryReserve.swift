import MartletPlatform

/// The reserve that keeps the process alive where the system has no more memory, until somebody who may
/// fail politely has noticed (see martlet_platform.h).
package enum MemoryReserve {
  /// Whether there is none, nor can be.
  @inline(__always)
  package static var isSpent: Bool { mp_memory_is_short() && !mp_memory_replenish() }

  /// Throws `outOfMemory` where it is spent. To be called now and then by what makes many small things,
  /// at the latest after some megabytes of them.
  @inline(__always)
  package static func check() throws(MartletError) {
    if isSpent { throw MartletError(.outOfMemory, "the system has no more memory") }
  }

  /// Throws `outOfMemory` where `byteCount` bytes cannot be had now. To be called before what may
  /// allocate as much at once without being able to fail.
  package static func checkRoom(_ byteCount: Int) throws(MartletError) {
    _ = try Storage(byteCount: byteCount)
  }
}
