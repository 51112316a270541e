/// Keeps freed blocks of one run context for its next allocations, so that a run in steady state
/// asks the system for no memory. Blocks come back by themselves when the last tensor on them goes.
///
/// What is kept is bounded: never more bytes than `keptShare` times the most ever in use at once.
///
/// @unchecked Sendable: all state is behind the lock (a result may be released on any thread).
package final class MemoryRecycler: @unchecked Sendable {
  private struct State {
    /// Free blocks in order of size; among equals the one freed last stands last.
    var free: [Storage] = []
    var freeBytes = 0
    var liveBytes = 0
    var peakBytes = 0

    /// The smallest free block of at least `size` bytes, unless it would waste more than half of it.
    mutating func take(_ size: Int) -> Storage? {
      let index = free.firstIndex(atLeast: size)
      guard index < free.count, free[index].byteCount <= size + size / 2 else { return nil }
      // Equal sizes: the block freed last is likeliest to be in cache.
      var last = index
      while last + 1 < free.count, free[last + 1].byteCount == free[index].byteCount { last += 1 }
      let block = free.remove(at: last)
      freeBytes -= block.byteCount
      return block
    }
  }

  private static let keptShare = 2
  private let state = Lock(State())

  package init() {}

  /// Bytes in blocks that tensors use now, bytes kept for reuse, and the most ever in use.
  package var statistics: (live: Int, kept: Int, peak: Int) {
    state.withLock { ($0.liveBytes, $0.freeBytes, $0.peakBytes) }
  }

  /// Uninitialised memory of at least `byteCount` bytes, 64-byte aligned, which counts against
  /// `allowance` until it comes back.
  package func storage(
    byteCount: Int, allowance: RunAllowance? = nil
  ) throws(MartletError) -> Storage {
    let size = MemoryRecycler.sizeClass(byteCount)
    try MemoryReserve.check()
    try allowance?.take(bytes: byteCount)
    let block: Storage
    if let reused = state.withLock({ $0.take(size) }) {
      block = reused
    } else {
      do throws(MartletError) { block = try Storage(byteCount: size) } catch {
        allowance?.giveBack(bytes: byteCount)
        throw error
      }
    }
    state.withLock { state in
      state.liveBytes += block.byteCount
      state.peakBytes = max(state.peakBytes, state.liveBytes)
    }
    return Storage(borrowing: block.base, byteCount: byteCount, isReadOnly: false) {
      [self] in
      giveBack(block)
      allowance?.giveBack(bytes: byteCount)
    }
  }

  /// Frees the blocks that no tensor uses.
  package func trim() {
    let dropped = state.withLock { state in
      defer {
        state.free = []
        state.freeBytes = 0
      }
      return state.free
    }
    _ = dropped
  }

  /// Frees the blocks that no tensor uses, and counts the peak from now on.
  package func restart() {
    trim()
    state.withLock { $0.peakBytes = $0.liveBytes }
  }

  private func giveBack(_ block: Storage) {
    // Blocks that leave are freed after the lock.
    let evicted = state.withLock { state in
      state.liveBytes -= block.byteCount
      state.freeBytes += block.byteCount
      state.free.insert(block, at: state.free.firstIndex(atLeast: block.byteCount + 1))
      var evicted: [Storage] = []
      while state.freeBytes > MemoryRecycler.keptShare * state.peakBytes,
        let first = state.free.first
      {
        state.free.removeFirst()
        state.freeBytes -= first.byteCount
        evicted.append(first)
      }
      return evicted
    }
    _ = evicted
  }

  /// Sizes are rounded up to an eighth of their power of two, so that blocks of nearby sizes serve
  /// each other and at most 12.5% is unused.
  private static func sizeClass(_ byteCount: Int) -> Int {
    let floor = max(byteCount, 256)
    let step = max(1 << (Int.bitWidth - 1 - floor.leadingZeroBitCount - 3), 64)
    return (floor + step - 1) / step * step
  }
}

extension [Storage] {
  /// The first index whose block has at least `size` bytes, in an array ordered by size.
  fileprivate func firstIndex(atLeast size: Int) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].byteCount < size { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
