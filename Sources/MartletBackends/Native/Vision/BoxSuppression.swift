import MartletCore

/// Greedy selection of boxes by score: one that covers another that was selected before too well is
/// left out.
///
/// Boxes and overlaps are computed in float32, in the order of operations of ONNX's text. Boxes go by
/// falling score, of equal ones the first first; NaN is the least score.
/// Complexity: per class a heap of the candidates, and each candidate against the boxes selected.
package struct BoxSuppression {
  package var batch: Int
  package var classes: Int
  package var boxes: Int
  /// Boxes are [x centre, y centre, width, height], else [y1, x1, y2, x2] of any two opposite corners.
  package var isCentered: Bool
  /// Boxes that one class of one image has at most.
  package var limit: Int
  package var overlapThreshold: Float
  /// Candidates score more than this; nil: all are candidates.
  package var scoreThreshold: Float?

  package init(
    batch: Int, classes: Int, boxes: Int, isCentered: Bool, limit: Int, overlapThreshold: Float,
    scoreThreshold: Float?
  ) {
    self.batch = batch
    self.classes = classes
    self.boxes = boxes
    self.isCentered = isCentered
    self.limit = limit
    self.overlapThreshold = overlapThreshold
    self.scoreThreshold = scoreThreshold
  }

  /// What was selected: for class k of image n, item `n * classes + k`, the first `counts[item]` of the
  /// places from `starts[item]` on.
  package struct Selection {
    package let places: UnsafeMutablePointer<Int32>
    package let starts: UnsafeMutablePointer<Int>
    package let counts: UnsafeMutablePointer<Int>
  }

  /// Selects from the contiguous float32 `boxes` [batch, boxes, 4] and `scores` [batch, classes,
  /// boxes]. There are at most 2^31 boxes.
  package func run(
    boxes: Tensor, scores: Tensor, _ workspace: Workspace
  ) throws(MartletError) -> Selection {
    let items = batch * classes
    let starts = try workspace.scratch(.int64, [items]).typed(Int.self)
    let counts = try workspace.scratch(.int64, [items]).typed(Int.self)
    let values = scores.typed(Float.self)
    let isParallel = workspace.pool.threadCount(forNanoseconds: scores.count) > 1
    forEach(items, isParallel, workspace) { item in
      counts[item] = candidateCount(values + item * self.boxes)
    }
    var (candidates, places) = (0, 0)
    let heapStarts = try workspace.scratch(.int64, [items]).typed(Int.self)
    for item in 0..<items {
      heapStarts[item] = candidates
      starts[item] = places
      candidates += counts[item]
      places += min(counts[item], limit)
    }
    // A place more for each class: the rank after the last is written too.
    let heaps = try workspace.scratch(.uint64, [candidates + items]).typed(UInt64.self)
    let selected = try workspace.scratch(.int32, [places]).typed(Int32.self)
    // Five rows for each class, each a whole number of blocks.
    let blocks = try workspace.scratch(.float32, [5, places + items * Self.block]).typed(Float.self)
    forEach(items, isParallel, workspace) { item in
      let room = min(counts[item], limit)
      let first = 5 * (starts[item] + item * Self.block)
      counts[item] = select(
        values + item * self.boxes, boxes.typed(Float.self) + item / classes * self.boxes * 4,
        heap: heaps + heapStarts[item] + item, candidates: counts[item], room: room,
        SelectedBoxes(blocks + first, stride: room + Self.block), selected + starts[item])
    }
    return Selection(places: selected, starts: starts, counts: counts)
  }

  private func forEach(
    _ items: Int, _ isParallel: Bool, _ workspace: Workspace, _ body: (Int) -> Void
  ) {
    guard isParallel else { return (0..<items).forEach(body) }
    workspace.pool.parallelFor(items, body)
  }

  private func candidateCount(_ scores: UnsafePointer<Float>) -> Int {
    guard let scoreThreshold else { return boxes }
    var count = 0
    for box in 0..<boxes where scores[box] > scoreThreshold { count &+= 1 }
    return count
  }

  /// [y min, x min, y max, x max, area], in the order in which they are compared.
  private func writeCorners(
    _ box: UnsafePointer<Float>, _ corners: UnsafeMutablePointer<Float>
  ) {
    if isCentered {
      let (halfWidth, halfHeight) = (box[2] / 2, box[3] / 2)
      corners[0] = box[1] - halfHeight
      corners[1] = box[0] - halfWidth
      corners[2] = box[1] + halfHeight
      corners[3] = box[0] + halfWidth
    } else {
      let (isUp, isLeft) = (box[0] >= box[2], box[1] >= box[3])
      corners[0] = isUp ? box[2] : box[0]
      corners[1] = isLeft ? box[3] : box[1]
      corners[2] = isUp ? box[0] : box[2]
      corners[3] = isLeft ? box[1] : box[3]
    }
    corners[4] = (corners[3] - corners[1]) * (corners[2] - corners[0])
  }

  /// Number of boxes selected of one class of one image.
  private func select(
    _ scores: UnsafePointer<Float>, _ places: UnsafePointer<Float>,
    heap: UnsafeMutablePointer<UInt64>, candidates: Int, room: Int, _ before: SelectedBoxes,
    _ selected: UnsafeMutablePointer<Int32>
  ) -> Int {
    guard room > 0 else { return 0 }
    var next = 0
    if let scoreThreshold {
      // Without a branch, which nobody could foresee.
      for box in 0..<boxes {
        heap[next] = Self.rank(scores[box], box)
        next &+= scores[box] > scoreThreshold ? 1 : 0
      }
    } else {
      for box in 0..<boxes { heap[box] = Self.rank(scores[box], box) }
    }
    var queue = RankHeap(heap, count: candidates)
    var count = 0
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 5) { corners in
      guard let candidate = corners.baseAddress else { return }
      while count < room, let rank = queue.popFirst() {
        let box = Int(UInt32(truncatingIfNeeded: rank))
        writeCorners(places + 4 * box, candidate)
        if before.suppress(candidate, count: count, overlapThreshold) { continue }
        before.append(candidate, at: count)
        selected[count] = Int32(truncatingIfNeeded: box)
        count += 1
      }
    }
    return count
  }

  /// Numbers that ascend as scores fall, and for equal scores with the box.
  private static func rank(_ score: Float, _ box: Int) -> UInt64 {
    guard score == score else { return UInt64(UInt32.max) << 32 | UInt64(box) }
    // Zeros of both signs are equal.
    let bits = (score + 0).bitPattern
    let ascending = bits >> 31 == 1 ? ~bits : bits | 1 << 31
    return UInt64(~ascending) << 32 | UInt64(box)
  }

  /// Boxes that are compared at a time.
  fileprivate static let block = 8
}

/// The boxes selected so far, a row of numbers each for what `writeCorners` gives.
private struct SelectedBoxes {
  private let yMin: UnsafeMutablePointer<Float>
  private let xMin: UnsafeMutablePointer<Float>
  private let yMax: UnsafeMutablePointer<Float>
  private let xMax: UnsafeMutablePointer<Float>
  private let area: UnsafeMutablePointer<Float>

  init(_ base: UnsafeMutablePointer<Float>, stride: Int) {
    yMin = base
    xMin = base + stride
    yMax = base + 2 * stride
    xMax = base + 3 * stride
    area = base + 4 * stride
  }

  /// The rest of the last block is made boxes without area, which suppress nothing.
  func append(_ box: UnsafePointer<Float>, at index: Int) {
    if index % BoxSuppression.block == 0 {
      for place in index..<index + BoxSuppression.block {
        yMin[place] = 0
        xMin[place] = 0
        yMax[place] = 0
        xMax[place] = 0
        area[place] = 0
      }
    }
    yMin[index] = box[0]
    xMin[index] = box[1]
    yMax[index] = box[2]
    xMax[index] = box[3]
    area[index] = box[4]
  }

  /// Whether one of the first `count` boxes overlaps `box` by more than `threshold` of their union.
  func suppress(_ box: UnsafePointer<Float>, count: Int, _ threshold: Float) -> Bool {
    let (boxYMin, boxXMin, boxYMax, boxXMax) = (box[0], box[1], box[2], box[3])
    let boxArea = box[4]
    guard boxArea > 0 else { return false }
    var first = 0
    while first < count {
      // Without a branch, so that the block is compared in vectors.
      var hits: Int32 = 0
      for index in first..<first &+ BoxSuppression.block {
        let (top, bottom) = (max(boxYMin, yMin[index]), min(boxYMax, yMax[index]))
        let (left, right) = (max(boxXMin, xMin[index]), min(boxXMax, xMax[index]))
        let overlap = (right - left) * (bottom - top)
        let union = boxArea + area[index] - overlap
        let meets: Int32 = right > left ? 1 : 0
        let meetsToo: Int32 = bottom > top ? 1 : 0
        let isBox: Int32 = area[index] > 0 ? 1 : 0
        let isOver: Int32 = overlap / union > threshold ? 1 : 0
        let isReal: Int32 = union > 0 ? 1 : 0
        hits |= meets & meetsToo & isBox & isOver & isReal
      }
      if hits != 0 { return true }
      first += BoxSuppression.block
    }
    return false
  }

  @inline(__always) private func max(_ a: Float, _ b: Float) -> Float { a > b ? a : b }
  @inline(__always) private func min(_ a: Float, _ b: Float) -> Float { a < b ? a : b }
}

/// A heap of ranks, the least on top, in memory of the caller's.
private struct RankHeap {
  private let ranks: UnsafeMutablePointer<UInt64>
  private var count: Int

  init(_ ranks: UnsafeMutablePointer<UInt64>, count: Int) {
    self.ranks = ranks
    self.count = count
    for parent in (0..<count / 2).reversed() { siftDown(parent, ranks[parent]) }
  }

  mutating func popFirst() -> UInt64? {
    guard count > 0 else { return nil }
    let first = ranks[0]
    count -= 1
    if count > 0 { siftDown(0, ranks[count]) }
    return first
  }

  /// Puts `rank` at `place` or below, whatever is there.
  private func siftDown(_ place: Int, _ rank: UInt64) {
    var parent = place
    while true {
      var child = 2 &* parent &+ 1
      guard child < count else { break }
      if child &+ 1 < count, ranks[child &+ 1] < ranks[child] { child &+= 1 }
      guard ranks[child] < rank else { break }
      ranks[parent] = ranks[child]
      parent = child
    }
    ranks[parent] = rank
  }
}
