import MartletCore
import Testing

@Suite struct ByteSearchTests {
  /// Where `needle` first stands in `text` at or after `start`, looked for place by place.
  private func naive(_ needle: [UInt8], _ text: [UInt8], _ start: Int) -> Int? {
    (start..<max(start, text.count + 1)).first { text[min($0, text.count)...].starts(with: needle) }
  }

  @Test("what it finds is what a search place by place finds")
  func agrees() {
    var state: UInt64 = 1
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for _ in 0..<2_000 {
      // Few letters, so that needles overlap themselves and begin often.
      let needle = (0..<1 + next(5)).map { _ in UInt8(next(2)) }
      let text = (0..<next(40)).map { _ in UInt8(next(2)) }
      let search = ByteSearch(needle)
      text.withUnsafeBufferPointer { buffer in
        for start in 0...text.count {
          #expect(search.first(in: buffer, from: start) == naive(needle, text, start))
        }
      }
    }
  }
}
