import Testing

@testable import MartletBackends

@Suite struct VisibleKeysTests {
  @Test("all keys, unless something is said")
  func all() {
    #expect(VisibleKeys().range(0, 3, of: 5) == 0..<5)
    #expect(VisibleKeys().range(0, 0, of: 0) == 0..<0)
  }

  @Test("bounds go by the query's place, the batch's offset and the keys that count")
  func bounds() {
    var keys = VisibleKeys()
    keys.causalOffset = 1
    keys.windowOffset = -2
    #expect((0..<5).map { keys.range(0, $0, of: 5) } == [0..<2, 0..<3, 0..<4, 1..<5, 2..<5])
    keys.batchOffsets = [0, -2]
    #expect((0..<4).map { keys.range(1, $0, of: 5) } == [0..<0, 0..<1, 0..<2, 0..<3])
    keys.lengths = [2, 9]
    #expect(keys.range(0, 3, of: 5) == 1..<2)
    #expect(keys.range(0, 4, of: 5) == 2..<2)
    #expect(keys.range(1, 9, of: 5) == 5..<5)
  }

  @Test("offsets of any size do not overflow", arguments: [Int.min, -1, 0, 1, .max])
  func extremes(offset: Int) {
    for other in [Int.min, -1, 0, 1, .max] {
      var keys = VisibleKeys()
      keys.causalOffset = offset
      keys.windowOffset = other
      keys.batchOffsets = [other]
      keys.lengths = [offset]
      let range = keys.range(0, .max, of: 7)
      #expect(range.lowerBound >= 0 && range.upperBound <= 7)
    }
  }
}
