import Glibc

/// Memory whose last byte is the last before an inaccessible page; everything is NaN until written.
final class GuardedBuffer {
  private let base: UnsafeMutableRawPointer
  private let capacity: Int

  init(capacity wanted: Int) throws {
    let page = Int(getpagesize())
    capacity = (wanted + page - 1) / page * page
    guard
      let region = mmap(
        nil, capacity + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      region != MAP_FAILED, mprotect(region + capacity, page, PROT_NONE) == 0
    else { throw OutOfMemory() }
    base = region
  }

  deinit { munmap(base, capacity + Int(getpagesize())) }

  struct OutOfMemory: Error {}

  /// `count` elements that end at the guard page, each filled with `pattern`.
  func elements<Element>(_ count: Int, filledWith pattern: Element) -> UnsafeMutablePointer<Element>
  {
    let bytes = count * MemoryLayout<Element>.stride
    precondition(bytes <= capacity)
    let pointer = (base + capacity - bytes).assumingMemoryBound(to: Element.self)
    pointer.update(repeating: pattern, count: count)
    return pointer
  }
}
