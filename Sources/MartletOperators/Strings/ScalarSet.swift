/// A set of Unicode scalars, as ranges. Built by insertions in any order; `sort` makes it ready.
struct ScalarSet: Sendable {
  struct Range: Sendable, Equatable {
    var first: UInt32
    var last: UInt32
  }

  static let largest: UInt32 = 0x10FFFF
  static let any = ScalarSet([0...largest])
  static let anyButNewline = ScalarSet([0...0x09, 0x0B...largest])

  private(set) var ranges: [Range] = []
  /// Whether characters 0 to 63 and 64 to 127 are in the set, one bit each, once it is sorted.
  private var ascii: (UInt64, UInt64) = (0, 0)
  /// How many ranges were inserted so far: what the set cost.
  private(set) var insertions = 0
  private var nextSort = 8192

  init() {}

  init(_ ranges: [ClosedRange<UInt32>]) {
    for range in ranges { insert(range.lowerBound, range.upperBound) }
    sort()
  }

  mutating func insert(_ first: UInt32, _ last: UInt32) {
    insertions += 1
    ranges.append(Range(first: first, last: last))
    if ranges.count >= nextSort {
      sort()
      nextSort = max(8192, 2 * ranges.count)
    }
  }

  /// Inserts the range and the other cases of its letters.
  mutating func insertFolded(_ first: UInt32, _ last: UInt32) {
    insert(first, last)
    for letter in CaseFolding.letters(first, last) {
      for other in CaseFolding.cases(letter) { insert(other, other) }
    }
  }

  /// Puts the ranges in order, merges those that touch, and prepares `contains`.
  mutating func sort() {
    ranges.sort { $0.first < $1.first }
    var merged: [Range] = []
    for range in ranges {
      if let last = merged.last, range.first <= last.last &+ 1 {
        merged[merged.count - 1].last = max(last.last, range.last)
      } else {
        merged.append(range)
      }
    }
    ranges = merged
    ascii = (0, 0)
    for range in ranges where range.first < 128 {
      for scalar in range.first...min(range.last, 127) {
        let bit: UInt64 = 1 << UInt64(scalar % 64)
        if scalar < 64 { ascii.0 |= bit } else { ascii.1 |= bit }
      }
    }
  }

  /// All scalars that are not in the set, sorted.
  func inverted() -> ScalarSet {
    var sorted = self
    sorted.sort()
    var result = ScalarSet()
    var next: UInt32 = 0
    for range in sorted.ranges {
      if range.first > next { result.insert(next, range.first - 1) }
      next = range.last + 1
    }
    if next <= ScalarSet.largest { result.insert(next, ScalarSet.largest) }
    result.sort()
    result.insertions += insertions
    return result
  }

  /// Whether the sorted set has `scalar`.
  func contains(_ scalar: UInt32) -> Bool {
    if scalar < 64 { return ascii.0 >> UInt64(scalar) & 1 != 0 }
    if scalar < 128 { return ascii.1 >> UInt64(scalar - 64) & 1 != 0 }
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].last < scalar { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].first <= scalar
  }
}
