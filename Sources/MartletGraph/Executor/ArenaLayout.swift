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

  /// The largest tenants are placed first, each at the lowest offset where it meets no other.
  ///
  /// Complexity: O(n²) comparisons for n tenants, in practice a few times n.
  init(_ tenants: [Tenant]) {
    offsets = [Int](repeating: 0, count: tenants.count)
    let order = tenants.indices.sorted {
      (tenants[$1].byteCount, $0) < (tenants[$0].byteCount, $1)
    }
    // Those placed so far, by offset.
    var placed: [(offset: Int, end: Int, tenant: Int)] = []
    placed.reserveCapacity(tenants.count)
    for index in order {
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
      let place = ArenaLayout.firstIndex(placed, notBefore: offset)
      placed.insert((offset, offset + size, index), at: place)
    }
  }

  /// `byteCount` rounded up to the alignment of storages.
  static func rounded(_ byteCount: Int) -> Int {
    (byteCount + Storage.alignment - 1) / Storage.alignment * Storage.alignment
  }

  private static func firstIndex(
    _ placed: [(offset: Int, end: Int, tenant: Int)], notBefore offset: Int
  ) -> Int {
    var low = 0
    var high = placed.count
    while low < high {
      let middle = (low + high) / 2
      if placed[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
