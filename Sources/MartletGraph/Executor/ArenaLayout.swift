import MartletCore

/// Offsets in one block of memory for tensors that live from one node to another, so that those
/// which live at the same time do not overlap.
struct ArenaLayout {
  struct Tenant {
    let byteCount: Int
    /// The nodes that write it first and read it last.
    let first: Int
    let last: Int
  }

  /// By tenant, multiples of the alignment.
  private(set) var offsets: [Int]
  private(set) var byteCount = 0

  /// Tenants whose order of placement is by size; more of them are placed as they come.
  private static let sortedCount = 4096

  init(_ tenants: [Tenant]) {
    offsets = [Int](repeating: 0, count: tenants.count)
    let order = tenants.indices.filter { tenants[$0].byteCount > 0 }
    if order.count <= ArenaLayout.sortedCount {
      placeBySize(tenants, order)
    } else {
      placeInOrder(tenants, order)
    }
  }

  /// The largest tenants are placed first, each at the lowest offset where it meets no other.
  ///
  /// Complexity: O(n²) comparisons for n tenants.
  private mutating func placeBySize(_ tenants: [Tenant], _ order: [Int]) {
    // Those placed so far, by offset.
    var placed: [(offset: Int, end: Int, tenant: Int)] = []
    placed.reserveCapacity(order.count)
    for index in order.sorted(by: {
      (tenants[$1].byteCount, $0) < (tenants[$0].byteCount, $1)
    }) {
      let tenant = tenants[index]
      let size = ArenaLayout.rounded(tenant.byteCount)
      var offset = 0
      for other in placed
      where tenants[other.tenant].first <= tenant.last && tenant.first <= tenants[other.tenant].last
      {
        if other.offset >= offset + size { break }
        offset = max(offset, other.end)
      }
      offsets[index] = offset
      byteCount = max(byteCount, offset + size)
      let place = ArenaLayout.firstIndex(placed.count, notBefore: offset) { placed[$0].offset }
      placed.insert((offset, offset + size, index), at: place)
    }
  }

  /// In the order in which they come, each at the lowest offset that is free then.
  ///
  /// Complexity: O(n log n) and, for each tenant, a look at the gaps that there are.
  private mutating func placeInOrder(_ tenants: [Tenant], _ order: [Int]) {
    var leaving = order.sorted { (tenants[$0].last, $0) < (tenants[$1].last, $1) }[...]
    // What is free below the end, by offset; no two touch.
    var gaps: [(offset: Int, end: Int)] = []
    for index in order.sorted(by: { (tenants[$0].first, $0) < (tenants[$1].first, $1) }) {
      let tenant = tenants[index]
      while let gone = leaving.first, tenants[gone].last < tenant.first {
        leaving.removeFirst()
        let offset = offsets[gone]
        ArenaLayout.free(
          (offset, offset + ArenaLayout.rounded(tenants[gone].byteCount)), &gaps)
      }
      let size = ArenaLayout.rounded(tenant.byteCount)
      if let gap = gaps.firstIndex(where: { $0.end - $0.offset >= size }) {
        offsets[index] = gaps[gap].offset
        gaps[gap].offset += size
        if gaps[gap].offset == gaps[gap].end { gaps.remove(at: gap) }
      } else {
        // The last gap is gone on from where it reaches the end.
        let start = gaps.last.flatMap { $0.end == byteCount ? $0.offset : nil } ?? byteCount
        if start < byteCount { gaps.removeLast() }
        offsets[index] = start
        byteCount = start + size
      }
    }
  }

  private static func free(_ gap: (offset: Int, end: Int), _ gaps: inout [(offset: Int, end: Int)])
  {
    let place = firstIndex(gaps.count, notBefore: gap.offset) { gaps[$0].offset }
    var (first, last, whole) = (place, place, gap)
    if place > 0, gaps[place - 1].end == gap.offset {
      first = place - 1
      whole.offset = gaps[first].offset
    }
    if place < gaps.count, gaps[place].offset == gap.end {
      last = place + 1
      whole.end = gaps[place].end
    }
    gaps.replaceSubrange(first..<last, with: [whole])
  }

  /// `byteCount` rounded up to the alignment of storages.
  static func rounded(_ byteCount: Int) -> Int {
    (byteCount + Storage.alignment - 1) / Storage.alignment * Storage.alignment
  }

  /// The first of `count` indices, sorted by `offset`, that does not lie before `wanted`.
  private static func firstIndex(
    _ count: Int, notBefore wanted: Int, _ offset: (Int) -> Int
  ) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if offset(middle) < wanted { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
