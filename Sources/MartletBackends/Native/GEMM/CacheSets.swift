import MartletKernels

/// Which rows of a matrix compete for the same places of a cache.
///
/// A tile goes down its rows side by side: of each it needs the same line for 16 floats, 16 steps of k.
/// Addresses a `period` apart share a set, which holds `ways` lines. Where more rows than that share
/// one, each step drives out what the next one needs: 14 rows of 1,024 floats ran at three quarters
/// of the speed of 8 (`martlet bench gemm --shape 1024x1024x1024`, AVX-512: 87 and 109 GFLOP/s).
struct CacheSets {
  let ways: Int
  /// A power of two, in bytes.
  let period: Int

  private static let lineBytes = 64

  /// The first level's data cache; 32 KiB of 8 ways where the processor does not say.
  static let level1 = CacheSets(
    ways: Int(mk_cpu_cache_ways(1)), byteCount: Int(mk_cpu_cache_bytes(1)))

  /// Bytes between copied rows of `bytes`: an odd number of lines, so that the rows of a tile fall into
  /// different sets.
  static func spread(_ bytes: Int) -> Int {
    ((bytes + lineBytes - 1) / lineBytes | 1) * lineBytes
  }

  init(ways: Int, byteCount: Int) {
    let period = ways > 0 ? byteCount / ways : 0
    let isKnown = period >= CacheSets.lineBytes && period & (period - 1) == 0
    self.ways = isKnown ? ways : 8
    self.period = isKnown ? period : 4096
  }

  /// The most rows up to `rows`, at most 64, `stride` bytes apart, of which the cache keeps a line each
  /// wherever in its line the first one is; with `width`, all lines of so many more bytes.
  func rows(atMost rows: Int, stride: Int, width: Int = 0) -> Int {
    guard rows > ways else { return rows }
    // Bit t: the row t further on (back) begins so near a row that they have a line's place in common.
    let reach = CacheSets.lineBytes + width
    var (onward, back): (UInt64, UInt64) = (1, 1)
    for t in 1..<min(rows, 64) {
      let distance = t &* stride & (period - 1)
      if distance < reach { onward |= 1 << UInt64(t) }
      if (0 &- distance) & (period - 1) < reach { back |= 1 << UInt64(t) }
    }
    func suffices(_ rows: Int) -> Bool {
      (0..<rows).allSatisfy { row in
        // Row `row` is in both.
        let after = onward & (2 << UInt64(rows - 1 - row) &- 1)
        let before = back & (2 << UInt64(row) &- 1)
        return after.nonzeroBitCount + before.nonzeroBitCount - 1 <= ways
      }
    }
    // So it is of all but a few strides.
    if onward.nonzeroBitCount + back.nonzeroBitCount - 1 <= ways { return rows }
    var most = rows
    while most > ways, !suffices(most) { most -= 1 }
    return most
  }
}
