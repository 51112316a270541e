import MartletCore
import Synchronization

/// Work items over matrices × column blocks × row blocks, run on the pool.
struct WorkItems {
  var plan: GEMMPlan
  /// Rows of dst and the columns of it that are computed; they start at a multiple of nr.
  var rows: Int
  var columns: Range<Int>
  var matrices: Int

  /// Runs `prototype`, moved by `moved` to each matrix. False: no memory for scratch.
  func run(
    _ prototype: TileLoop, on pool: ThreadPool, moved: (TileLoop, Int) -> TileLoop
  ) -> Bool {
    var loop = prototype
    loop.kc = plan.kc
    loop.mc = plan.mc
    loop.tileRows = plan.tileRows
    loop.streams = plan.streams
    // One K block needs no partial sums anywhere.
    if loop.k <= plan.kc { loop.staging.sumsInScratch = false }
    let rowBlocks = (rows + plan.itemRows - 1) / plan.itemRows
    let columnBlocks = (columns.count + plan.itemColumns - 1) / plan.itemColumns
    let scratchBytes = loop.scratchBytes(
      rows: min(plan.itemRows, rows), columns: min(plan.itemColumns, columns.count))
    return WorkItems.run(
      matrices * rowBlocks * columnBlocks, isParallel: plan.isParallel, on: pool,
      scratchBytes: scratchBytes
    ) { index, scratch in
      let (matrix, area) = index.quotientAndRemainder(dividingBy: rowBlocks * columnBlocks)
      let (columnBlock, rowBlock) = area.quotientAndRemainder(dividingBy: rowBlocks)
      let i0 = rowBlock * plan.itemRows
      let j0 = columns.lowerBound + columnBlock * plan.itemColumns
      moved(loop, matrix).run(
        rows: i0..<min(i0 + plan.itemRows, rows),
        columns: j0..<min(j0 + plan.itemColumns, columns.upperBound), scratch: scratch)
    }
  }

  /// Runs `count` items, each with scratch of its thread's. False: no memory for it.
  static func run(
    _ count: Int, isParallel: Bool, on pool: ThreadPool, scratchBytes: Int,
    _ body: (Int, UnsafeMutableRawPointer) -> Void
  ) -> Bool {
    guard isParallel else {
      for index in 0..<count {
        let isDone = ThreadScratch.withBytes(scratchBytes, .item) { body(index, $0) }
        if !isDone { return false }
      }
      return true
    }
    let failures = Atomic<Int>(0)
    func runItem(_ index: Int) {
      let isDone = ThreadScratch.withBytes(scratchBytes, .item) { body(index, $0) }
      if !isDone { failures.add(1, ordering: .relaxed) }
    }
    pool.parallelFor(count, runItem)
    return failures.load(ordering: .relaxed) == 0
  }
}

extension RightOperand {
  /// Packs all of K for `columns` into panels that everybody may read, several panels an item.
  func packPanels(
    k: Int, columns: Range<Int>, row: GEMMRow, into target: UnsafeMutableRawPointer,
    isParallel: Bool, on pool: ThreadPool
  ) {
    let panelStride = row.panelBytes(k)
    let panels = row.panels(columns.count)
    // At least 64 columns an item, where there are enough: a row of rhs is read in longer runs.
    let group = max(1, min(64 / row.nr, panels / (4 * max(pool.threadCount, 1))))
    func packGroup(_ index: Int) {
      let j0 = columns.lowerBound + index * group * row.nr
      pack(
        p0: 0, depth: k, j0: j0, columns: min(group * row.nr, columns.upperBound - j0), row: row,
        into: target + index * group * panelStride, panelStride: panelStride)
    }
    let groups = (panels + group - 1) / group
    if isParallel {
      pool.parallelFor(groups, packGroup)
    } else {
      for index in 0..<groups { packGroup(index) }
    }
  }
}
