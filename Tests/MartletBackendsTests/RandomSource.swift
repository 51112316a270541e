/// SplitMix64: small, seeded, the same everywhere.
struct RandomSource: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() % UInt64(range.count))
  }

  mutating func pick<Element>(_ values: [Element]) -> Element { values[int(0...values.count - 1)] }

  mutating func chance(_ percent: Int) -> Bool { int(0...99) < percent }

  /// Uniform in -1..<1.
  mutating func float() -> Float {
    Float(Int64(bitPattern: next()) >> 40) / 8_388_608
  }
}
