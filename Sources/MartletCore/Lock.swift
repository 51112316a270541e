import MartletPlatform

/// A value that one thread at a time reads or changes, for a short while.
///
/// **Forks.** The library's locks know nothing of threads' ids, which the child of a fork inherits
/// wrong. A fork waits until nobody is inside `withLock`, of whatever lock, so a child finds every lock
/// free and every value whole. Hence what `body` does is short, waits for no other thread but for
/// another lock, and calls nothing of the user's (what it takes out may have to be released outside).
/// Work that takes its time is done under a `Turn`. `Synchronization.Mutex` is not used: on Linux it
/// holds the owner's thread id.
///
/// @unchecked Sendable: the value is reached only by the thread that has the lock.
package struct Lock<Value>: ~Copyable, @unchecked Sendable {
  @usableFromInline let word: UnsafeMutablePointer<UInt32>
  @usableFromInline let value: UnsafeMutablePointer<Value>

  package init(_ value: Value) {
    // One block has both.
    let offset = max(MemoryLayout<UInt32>.size, MemoryLayout<Value>.alignment)
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: offset + MemoryLayout<Value>.size, alignment: offset)
    word = block.initializeMemory(as: UInt32.self, to: 0)
    self.value = (block + offset).initializeMemory(as: Value.self, to: value)
  }

  deinit {
    value.deinitialize(count: 1)
    UnsafeMutableRawPointer(word).deallocate()
  }

  /// What `body` gives, which has the value to itself.
  @inlinable
  package func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    mp_lock_take(word)
    defer { mp_lock_give(word) }
    return try body(&value.pointee)
  }
}

/// What one thread at a time does, however long it takes: packing, a section of a pool.
///
/// **Forks** do not wait for it. A child finds a turn free that another thread of its parent had, and
/// what was done in it half done: so nothing that others read may be changed in a turn but by one store
/// or under a `Lock`, and whoever has the turn next begins anew.
///
/// @unchecked Sendable: the word is atomic.
package struct Turn: ~Copyable, @unchecked Sendable {
  private let word: UnsafeMutablePointer<UInt32>

  package init() {
    word = .allocate(capacity: 1)
    word.initialize(to: 0)
  }

  deinit { word.deallocate() }

  /// Takes the turn where nobody has it; then it is to be given back.
  package func tryTake() -> Bool { mp_word_try(word) }

  package func giveBack() { mp_word_give(word) }

  /// What `body` gives, once it is this thread's turn.
  package func wait<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    mp_word_take(word)
    defer { mp_word_give(word) }
    return try body()
  }
}
