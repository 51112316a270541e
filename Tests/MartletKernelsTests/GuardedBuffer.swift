import Glibc

/// Memory between two pages that nothing may touch: an access past the chosen end is a fault.
final class GuardedBuffer {
  /// Which end of the bytes lies against a forbidden page.
  enum Edge: CaseIterable, Sendable { case leading, trailing }

  let bytes: UnsafeMutableRawPointer
  let count: Int
  private let mapping: UnsafeMutableRawPointer
  private let mappedBytes: Int

  init(_ count: Int, _ edge: Edge) throws {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let inner = max((count + page - 1) / page, 1) * page
    guard
      let mapping = mmap(
        nil, inner + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      mapping != MAP_FAILED
    else { throw GuardedBufferError.noMemory }
    mprotect(mapping, page, PROT_NONE)
    mprotect(mapping + page + inner, page, PROT_NONE)
    self.mapping = mapping
    self.mappedBytes = inner + 2 * page
    self.count = count
    self.bytes = mapping + page + (edge == .leading ? 0 : inner - count)
    memset(mapping + page, 0xff, inner)  // every f32 and bf16 a NaN
  }

  deinit { munmap(mapping, mappedBytes) }

  func floats() -> UnsafeMutablePointer<Float> { bytes.assumingMemoryBound(to: Float.self) }
  func words() -> UnsafeMutablePointer<UInt16> { bytes.assumingMemoryBound(to: UInt16.self) }
}

enum GuardedBufferError: Error { case noMemory }

/// A small generator with a seed, so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func value() -> Float { Float(Int64(next() >> 40) - (1 << 23)) * 0x1p-23 }
}
