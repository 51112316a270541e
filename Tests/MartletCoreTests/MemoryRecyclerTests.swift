import Testing

@testable import MartletCore

@Suite struct MemoryRecyclerTests {
  @Test("a freed block serves the next request of its size") func reuse() throws {
    let recycler = MemoryRecycler()
    let first = try recycler.storage(byteCount: 10_000).base
    #expect(recycler.statistics.live == 0 && recycler.statistics.kept >= 10_000)
    let second = try recycler.storage(byteCount: 9_990)
    #expect(second.base == first)
    #expect(recycler.statistics.kept == 0 && recycler.statistics.live >= 10_000)
  }

  @Test("a block is not handed out twice") func distinct() throws {
    let recycler = MemoryRecycler()
    let first = try recycler.storage(byteCount: 512)
    let second = try recycler.storage(byteCount: 512)
    #expect(first.base != second.base)
  }

  @Test("a small request does not take a much larger block") func waste() throws {
    let recycler = MemoryRecycler()
    let large = try recycler.storage(byteCount: 1 << 20).base
    let small = try recycler.storage(byteCount: 1 << 10)
    #expect(small.base != large)
  }

  @Test("what is kept stays bounded over ever new sizes") func bounded() throws {
    let recycler = MemoryRecycler()
    for size in stride(from: 1 << 10, to: 1 << 20, by: 7919) {
      _ = try recycler.storage(byteCount: size)
      let statistics = recycler.statistics
      #expect(statistics.kept <= 2 * statistics.peak)
    }
    recycler.trim()
    #expect(recycler.statistics.kept == 0)
  }

  @Test("refuses sizes that cannot be had") func refuses() {
    #expect(throws: MartletError.self) { try MemoryRecycler().storage(byteCount: Int.max / 2) }
  }
}
