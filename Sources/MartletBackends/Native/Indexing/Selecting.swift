import MartletCore

/// Searches along one axis: the place of the extreme, and the first few in order.
///
/// NaN counts as greater than every number when the greatest are sought, and as less when the least
/// are. Of equal elements the first comes first.
package enum Selecting {
  private static let grain = 1 << 14

  /// dst[o, i] = the index along the middle axis of the greatest (or least) of src[o, :, i].
  /// src is contiguous (no 16-bit float), dst int64 and contiguous, extent > 0.
  package static func extreme(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, greatest: Bool, takesLast: Bool,
    into dst: Tensor, _ workspace: Workspace
  ) {
    let count = outer * inner
    let perChunk = max(1, grain / max(extent, 1))
    workspace.pool.parallelFor((count + perChunk - 1) / perChunk) { chunk in
      src.dtype.visit(
        Extreme(
          range: chunk * perChunk..<min((chunk + 1) * perChunk, count), extent: extent,
          inner: inner, greatest: greatest, takesLast: takesLast, src: src.pointer,
          dst: dst.typed(Int64.self)))
    }
  }

  /// For each o, i: the `k` greatest (or least) of src[o, :, i] in order, and where they were.
  /// src is contiguous (no 16-bit float); values and indices (int64) are contiguous [outer, k, inner].
  package static func top(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, k: Int, greatest: Bool,
    values: Tensor, indices: Tensor, _ workspace: Workspace
  ) {
    let count = outer * inner
    let perChunk = max(1, grain / 8 / max(extent, 1))
    workspace.pool.parallelFor((count + perChunk - 1) / perChunk) { chunk in
      src.dtype.visit(
        Top(
          range: chunk * perChunk..<min((chunk + 1) * perChunk, count), extent: extent,
          inner: inner, k: k, greatest: greatest, src: src.pointer, values: values.pointer,
          indices: indices.typed(Int64.self)))
    }
  }

  /// Whether a comes before b.
  @inline(__always)
  static func precedes<T: Element>(_ a: T, _ b: T, _ greatest: Bool) -> Bool {
    if a.isNaNValue { return !b.isNaNValue }
    return greatest ? a > b : a < b
  }
}

private struct Extreme: ElementVisitor {
  let range: Range<Int>
  let extent: Int
  let inner: Int
  let greatest: Bool
  let takesLast: Bool
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutablePointer<Int64>

  func visit<T: Element>(_: T.Type) {
    for position in range {
      let (block, column) = position.quotientAndRemainder(dividingBy: inner)
      let values = src.assumingMemoryBound(to: T.self) + block * extent * inner + column
      var best = 0
      for index in 1..<max(extent, 1) {
        let candidate = values[index &* inner]
        let current = values[best &* inner]
        if Selecting.precedes(candidate, current, greatest)
          || (takesLast && !Selecting.precedes(current, candidate, greatest))
        {
          best = index
        }
      }
      dst[position] = Int64(best)
    }
  }
}

private struct Top: ElementVisitor {
  let range: Range<Int>
  let extent: Int
  let inner: Int
  let k: Int
  let greatest: Bool
  let src: UnsafeMutableRawPointer
  let values: UnsafeMutableRawPointer
  let indices: UnsafeMutablePointer<Int64>

  func visit<T: Element>(_: T.Type) {
    guard k > 0 else { return }
    // A heap of the k best so far with the worst on top: k log k of memory traffic, not a full sort.
    var heap: [Int] = []
    heap.reserveCapacity(k)
    for position in range {
      let (block, column) = position.quotientAndRemainder(dividingBy: inner)
      let line = src.assumingMemoryBound(to: T.self) + block * extent * inner + column
      let greatest = greatest
      let inner = inner
      func isBefore(_ a: Int, _ b: Int) -> Bool {
        let (x, y) = (line[a &* inner], line[b &* inner])
        if Selecting.precedes(x, y, greatest) { return true }
        return !Selecting.precedes(y, x, greatest) && a < b
      }
      heap.removeAll(keepingCapacity: true)
      if k * 4 >= extent {
        heap.append(contentsOf: 0..<extent)
      } else {
        for index in 0..<extent {
          if heap.count < k {
            heap.append(index)
            Top.siftUp(&heap, isBefore)
          } else if isBefore(index, heap[0]) {
            heap[0] = index
            Top.siftDown(&heap, isBefore)
          }
        }
      }
      heap.sort(by: isBefore)
      let out = values.assumingMemoryBound(to: T.self)
      for rank in 0..<k {
        let target = (block * k + rank) * inner + column
        out[target] = line[heap[rank] &* inner]
        indices[target] = Int64(heap[rank])
      }
    }
  }

  private static func siftUp(_ heap: inout [Int], _ isBefore: (Int, Int) -> Bool) {
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard isBefore(heap[parent], heap[child]) else { return }
      heap.swapAt(parent, child)
      child = parent
    }
  }

  private static func siftDown(_ heap: inout [Int], _ isBefore: (Int, Int) -> Bool) {
    var parent = 0
    while true {
      var worst = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && isBefore(heap[worst], heap[child]) {
        worst = child
      }
      if worst == parent { return }
      heap.swapAt(parent, worst)
      parent = worst
    }
  }
}
