import MartletCore
import MartletKernels

extension Selecting {
  /// For each o, i: the `k` greatest (or least) of src[o, :, i] in order, and where they were.
  /// src is contiguous (no 16-bit float); values and indices (int64) are contiguous [outer, k, inner].
  package static func top(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, k: Int, greatest: Bool,
    values: Tensor, indices: Tensor, _ workspace: Workspace
  ) {
    let count = outer * inner
    let perChunk = max(1, grain / 8 / max(extent, 1))
    let isFloat = src.dtype == .float32 && extent <= Int(UInt32.max)
    workspace.pool.parallelFor((count + perChunk - 1) / perChunk) { chunk in
      if isFloat {
        FloatTop(
          extent: extent, inner: inner, k: k, greatest: greatest, src: src.typed(Float.self),
          values: values.typed(Float.self), indices: indices.typed(Int64.self)
        ).run(chunk * perChunk..<min((chunk + 1) * perChunk, count))
        return
      }
      src.dtype.visit(
        Top(
          range: chunk * perChunk..<min((chunk + 1) * perChunk, count), extent: extent,
          inner: inner, k: k, greatest: greatest, src: src.pointer, values: values.pointer,
          indices: indices.typed(Int64.self)))
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

/// The same for float32: a heap of words that order as the elements do, and then by place; what comes
/// after its worst is passed over by vectors.
private struct FloatTop {
  let extent: Int
  let inner: Int
  let k: Int
  let greatest: Bool
  let src: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>
  let indices: UnsafeMutablePointer<Int64>

  func run(_ range: Range<Int>) {
    guard k > 0 else { return }
    let table = VectorKernels.chosen.table
    let next = greatest ? table.first_above : table.first_below
    var heap = [UInt64]()
    heap.reserveCapacity(k)
    for position in range {
      let (block, column) = position.quotientAndRemainder(dividingBy: inner)
      let line = src + block * extent * inner + column
      heap.removeAll(keepingCapacity: true)
      let first = min(extent, k * 4 >= extent ? extent : k)
      for index in 0..<first { heap.append(word(line[index &* inner], index)) }
      if first < extent {
        for parent in stride(from: k / 2 - 1, through: 0, by: -1) { FloatTop.sift(&heap, parent) }
        var index = first
        while index < extent {
          if inner == 1 {
            // Of equals the first has come already, and nothing comes before what is no number.
            let worst = line[place(heap[0])]
            if worst.isNaN { break }
            index += Int(next(Int64(extent - index), line + index, worst))
            if index >= extent { break }
          }
          let word = word(line[index &* inner], index)
          if word > heap[0] {
            heap[0] = word
            FloatTop.sift(&heap, 0)
          }
          index += 1
        }
      }
      heap.sort(by: >)
      for rank in 0..<k {
        let target = (block * k + rank) * inner + column
        let place = place(heap[rank])
        values[target] = line[place &* inner]
        indices[target] = Int64(place)
      }
    }
  }

  /// The greater, the earlier: NaN before numbers, of equals the first.
  @inline(__always)
  private func word(_ value: Float, _ index: Int) -> UInt64 {
    var key = UInt32.max
    if !value.isNaN {
      // Without a negative zero.
      let bits = (value + 0).bitPattern
      let ascending = bits & 1 << 31 == 0 ? bits | 1 << 31 : ~bits
      key = greatest ? ascending : ~ascending
    }
    return UInt64(key) << 32 | UInt64(UInt32.max - UInt32(truncatingIfNeeded: index))
  }

  @inline(__always)
  private func place(_ word: UInt64) -> Int {
    Int(UInt32.max - UInt32(truncatingIfNeeded: word))
  }

  /// Lets the word at `start` sink until none below it is less.
  private static func sift(_ heap: inout [UInt64], _ start: Int) {
    heap.withUnsafeMutableBufferPointer { heap in
      guard start < heap.count else { return }
      let word = heap[start]
      var parent = start
      while true {
        var child = 2 &* parent &+ 1
        guard child < heap.count else { break }
        if child &+ 1 < heap.count, heap[child &+ 1] < heap[child] { child &+= 1 }
        guard heap[child] < word else { break }
        heap[parent] = heap[child]
        parent = child
      }
      heap[parent] = word
    }
  }
}
