import MartletCore
import Synchronization

/// Work items over matrices × column blocks × row blocks, run on the pool.
struct WorkItems {
  /// Rows of dst and the columns of it that are computed; they start at a multiple of nr.
  var rows: Int
  var columns: Range<Int>
  var matrices = 1
  /// Of one item; itemColumns is a multiple of nr.
  var itemRows: Int
  var itemColumns: Int
  /// Whether the work is worth more than one thread.
  var isParallel: Bool

  private var rowBlocks: Int { (rows + itemRows - 1) / itemRows }
  private var columnBlocks: Int { (columns.count + itemColumns - 1) / itemColumns }
  var count: Int { matrices * rowBlocks * columnBlocks }

  /// Runs `loop`, moved by `moved` to each matrix. False: no memory for scratch.
  func run<Loop: PanelLoop>(
    _ loop: Loop, on pool: ThreadPool, moved: (Loop, Int) -> Loop
  ) -> Bool {
    let (rowBlocks, columnBlocks) = (rowBlocks, columnBlocks)
    return WorkItems.run(
      count, isParallel: isParallel, on: pool,
      scratchBytes: loop.scratchBytes(
        rows: min(itemRows, rows), columns: min(itemColumns, columns.count))
    ) { index, scratch in
      let (matrix, area) = index.quotientAndRemainder(dividingBy: rowBlocks * columnBlocks)
      let (columnBlock, rowBlock) = area.quotientAndRemainder(dividingBy: rowBlocks)
      let i0 = rowBlock * itemRows
      let j0 = columns.lowerBound + columnBlock * itemColumns
      moved(loop, matrix).run(
        rows: i0..<min(i0 + itemRows, rows),
        columns: j0..<min(j0 + itemColumns, columns.upperBound), scratch: scratch)
    }
  }

  /// Runs `count` items, each with scratch of its thread's. False: no memory for it.
  static func run(
    _ count: Int, isParallel: Bool, on pool: ThreadPool, scratchBytes: Int,
    _ body: (Int, UnsafeMutableRawPointer) -> Void
  ) -> Bool {
    run(count, isParallel: isParallel, on: pool) { index in
      ThreadScratch.withBytes(scratchBytes, .item) { body(index, $0) }
    }
  }

  /// Runs `count` whole products: a thread each where there are `enough` of them, else one after the
  /// other on all threads. False: one had no memory.
  static func runProducts(
    _ count: Int, enough: Int, on pool: ThreadPool, _ body: (Int, _ threads: Int) -> Bool
  ) -> Bool {
    let isParallel = count >= enough && pool.threadCount > 1
    return run(count, isParallel: isParallel, on: pool) { index in
      body(index, isParallel ? 1 : pool.threadCount)
    }
  }

  /// Whether `body` succeeds for each index; on one thread, none is run after one that fails.
  static func run(
    _ count: Int, isParallel: Bool, on pool: ThreadPool, _ body: (Int) -> Bool
  ) -> Bool {
    guard isParallel else { return (0..<max(count, 0)).allSatisfy(body) }
    let failures = Atomic<Int>(0)
    pool.parallelFor(count) { index in
      if !body(index) { failures.add(1, ordering: .relaxed) }
    }
    return failures.load(ordering: .relaxed) == 0
  }
}
