/// A counter-based generator: what it gives is a function of a key and a counter alone, so that any
/// thread can make any element's number.
///
/// Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011): Philox4x32-10.
package struct Philox: Sendable {
  private let key: (UInt32, UInt32)
  private let run: (UInt32, UInt32)

  /// The numbers of one run of a stream.
  package init(key: UInt64, run: UInt64) {
    self.key = Philox.halves(key)
    self.run = Philox.halves(run)
  }

  /// The two numbers of counter `block`.
  package func block(_ block: UInt64) -> (UInt64, UInt64) {
    var (c0, c1) = Philox.halves(block)
    var (c2, c3) = run
    var (k0, k1) = key
    for _ in 0..<10 {
      let product0 = c0.multipliedFullWidth(by: 0xD251_1F53)
      let product1 = c2.multipliedFullWidth(by: 0xCD9E_8D57)
      (c0, c1, c2, c3) = (
        product1.high ^ c1 ^ k0, product1.low, product0.high ^ c3 ^ k1, product0.low
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return (UInt64(c0) | UInt64(c1) << 32, UInt64(c2) | UInt64(c3) << 32)
  }

  /// Number `index` of the run.
  package func bits(_ index: Int) -> UInt64 {
    let (even, odd) = block(UInt64(truncatingIfNeeded: index >> 1))
    return index & 1 == 0 ? even : odd
  }

  /// Number `index` as a multiple of 2^-`digits` in [0, 1), for 1 to 53 digits.
  package func fraction(_ index: Int, digits: Int = 53) -> Double {
    let step = Double(sign: .plus, exponent: -digits, significand: 1)
    return Double(bits(index) >> UInt64(64 - digits)) * step
  }

  private static func halves(_ value: UInt64) -> (UInt32, UInt32) {
    (UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32))
  }
}
