import Glibc
import MartletCore
import Synchronization

/// Places in one stretch of scratch, each on cache lines of its own.
struct ScratchPlaces {
  let base: UnsafeMutableRawPointer
  private(set) var byteCount = 0

  init(at base: UnsafeMutableRawPointer) { self.base = base }

  mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer {
    defer { byteCount += (bytes + 63) / 64 * 64 }
    return base + byteCount
  }

  mutating func takeWords(_ count: Int) -> UnsafeMutablePointer<Int32> {
    take(count * 4).assumingMemoryBound(to: Int32.self)
  }
}

/// Working memory that a thread keeps from one use to the next, so that steady work asks the system
/// for none. A thread that ends gives its memory back.
///
/// A block is taken out of its slot while in use: a nested use on the same thread (a caller's own
/// scheduler may run another task while it waits) gets a block of its own.
enum ThreadScratch {
  /// What a block is for; each thread keeps one block per slot.
  enum Slot {
    /// Panels that all threads of one product share, held by the calling thread.
    case shared
    /// What one work item converts and packs for itself.
    case item
  }

  /// Blocks beyond this go back to the system after use.
  private static let keptBytes = 16 << 20
  private static let headerBytes = 64
  /// Stands behind the bytes asked for in debug builds, where writing over it stops the process.
  private static let guardWord: UInt64 = 0x7363_7261_7463_6821

  /// Bytes in blocks of all threads now.
  static var bytesInUse: Int { inUse.load(ordering: .relaxed) }
  private static let inUse = Atomic<Int>(0)

  /// Runs `body` with at least `byteCount` bytes, 64-byte aligned and uninitialised. Returns false,
  /// without running it, when there is no memory.
  static func withBytes(
    _ byteCount: Int, _ slot: Slot, _ body: (UnsafeMutableRawPointer) -> Void
  ) -> Bool {
    let key = slot == .shared ? sharedKey : itemKey
    var block = key.flatMap { pthread_getspecific($0) }
    if let key, block != nil { pthread_setspecific(key, nil) }
    if let existing = block, capacity(existing) < byteCount {
      release(existing)
      block = nil
    }
    guard let block = block ?? allocate(byteCount) else { return false }
    #if DEBUG
      (block + headerBytes + byteCount).storeBytes(of: guardWord, as: UInt64.self)
    #endif
    body(block + headerBytes)
    #if DEBUG
      let end = (block + headerBytes + byteCount).loadUnaligned(as: UInt64.self)
      precondition(end == guardWord, "work went beyond its scratch")
    #endif
    if let key, capacity(block) <= keptBytes, pthread_getspecific(key) == nil,
      pthread_setspecific(key, block) == 0
    {
      return true
    }
    release(block)
    return true
  }

  private static func capacity(_ block: UnsafeMutableRawPointer) -> Int {
    block.load(as: Int.self)
  }

  private static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    // A little more than asked, so that growing sizes do not allocate each time.
    let (sum, overflow) = byteCount.addingReportingOverflow(byteCount / 4 + 4096)
    guard !overflow, sum < Int.max / 2 else { return nil }
    guard let block = Storage.block(byteCount: sum + headerBytes + 8) else { return nil }
    block.storeBytes(of: sum, as: Int.self)
    inUse.add(sum, ordering: .relaxed)
    return block
  }

  private static func release(_ block: UnsafeMutableRawPointer) {
    inUse.subtract(capacity(block), ordering: .relaxed)
    free(block)
  }

  private static let sharedKey = makeKey()
  private static let itemKey = makeKey()

  private static func makeKey() -> pthread_key_t? {
    var key = pthread_key_t()
    let status = pthread_key_create(&key) { block in
      if let block { ThreadScratch.release(block) }
    }
    return status == 0 ? key : nil
  }
}
