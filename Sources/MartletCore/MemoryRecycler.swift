import Synchronization

/// Keeps freed blocks of one run context for its next allocations, so that a run in steady state
/// asks the system for no memory. Blocks come back by themselves when the last tensor on them goes.
///
/// @unchecked Sendable: all state is behind the mutex (a result may be released on any thread).
package final class MemoryRecycler: @unchecked Sendable {
  private struct State {
    /// Free blocks by size class.
    var free: [Int: [Storage]] = [:]
    var freeBytes = 0
    var liveBytes = 0
    var peakBytes = 0
  }

  private let state = Mutex(State())

  package init() {}

  /// Bytes in blocks that tensors use now, bytes kept for reuse, and the most ever in use.
  package var statistics: (live: Int, kept: Int, peak: Int) {
    state.withLock { ($0.liveBytes, $0.freeBytes, $0.peakBytes) }
  }

  /// Uninitialised memory of at least `byteCount` bytes, 64-byte aligned.
  package func storage(byteCount: Int) throws(MartletError) -> Storage {
    let size = MemoryRecycler.sizeClass(byteCount)
    let reused: Storage? = state.withLock { state in
      state.liveBytes += size
      state.peakBytes = max(state.peakBytes, state.liveBytes)
      guard let block = state.free[size]?.popLast() else { return nil }
      state.freeBytes -= size
      return block
    }
    let block: Storage
    if let reused {
      block = reused
    } else {
      do throws(MartletError) {
        block = try Storage(byteCount: size)
      } catch {
        state.withLock { $0.liveBytes -= size }
        throw error
      }
    }
    return Storage(borrowing: block.base, byteCount: byteCount, isReadOnly: false) {
      [self] in giveBack(block, size)
    }
  }

  /// Frees the blocks that no tensor uses.
  package func trim() {
    let dropped = state.withLock { state in
      defer {
        state.free = [:]
        state.freeBytes = 0
      }
      return state.free
    }
    _ = dropped
  }

  private func giveBack(_ block: Storage, _ size: Int) {
    state.withLock { state in
      state.liveBytes -= size
      state.freeBytes += size
      state.free[size, default: []].append(block)
    }
  }

  /// Sizes are rounded up to an eighth of their power of two, so that blocks of nearby sizes serve
  /// each other and at most 12.5% is unused.
  private static func sizeClass(_ byteCount: Int) -> Int {
    let floor = max(byteCount, 256)
    let step = max(1 << (Int.bitWidth - 1 - floor.leadingZeroBitCount - 3), 64)
    return (floor + step - 1) / step * step
  }
}
