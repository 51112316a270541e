import MartletCore

/// A right matrix in panels over the whole of K.
struct PackedPanels {
  var base: UnsafeMutableRawPointer
  /// Bytes from one panel to the next.
  var stride: Int
  /// The column that opens the first panel, a multiple of nr.
  var firstColumn = 0
  /// The sums of the columns, for rows that need them.
  var sums: UnsafeMutablePointer<Int32>?

  /// Bytes of panels that are packed at a time when all threads share them.
  static let sharedBytes = 8 << 20

  /// Where the panel of `column` begins at row `p0` of K, a multiple of kr.
  func panel(_ column: Int, p0: Int, row: some KernelFamily) -> UnsafeMutableRawPointer {
    base + ((column - firstColumn) / row.nr * stride + row.panelBytes(p0))
  }

  /// The sums from the first of `columns` on.
  func sums(_ columns: Range<Int>) -> UnsafeMutablePointer<Int32>? {
    sums.map { $0 + (columns.lowerBound - firstColumn) }
  }

  /// Those of another matrix, `bytes` further in memory.
  func moved(by bytes: Int) -> PackedPanels {
    var panels = self
    panels.base += bytes
    return panels
  }
}

extension PackedPanels {
  /// Bytes of the panels of so many columns, and of the columns' sums behind them.
  static func byteCount(columns: Int, k: Int, row: some KernelFamily) -> Int {
    sumsOffset(columns: columns, k: k, row: row)
      + (row.sumsColumns ? row.panels(columns) * row.nr * 4 : 0)
  }

  /// Panels of so many columns in `byteCount` bytes from `base`.
  init(
    at base: UnsafeMutableRawPointer, columns: Int, k: Int, firstColumn: Int = 0,
    row: some KernelFamily
  ) {
    let sums = base + PackedPanels.sumsOffset(columns: columns, k: k, row: row)
    self.init(
      base: base, stride: row.panelBytes(k), firstColumn: firstColumn,
      sums: row.sumsColumns ? sums.assumingMemoryBound(to: Int32.self) : nil)
  }

  private static func sumsOffset(columns: Int, k: Int, row: some KernelFamily) -> Int {
    (row.panels(columns) * row.panelBytes(k) + 63) / 64 * 64
  }
}

/// The right matrix of a product, as far as it is packed for all to read.
protocol PanelSource {
  associatedtype Row: KernelFamily

  /// Bytes of scratch that packing such a block takes, besides its panels.
  func packingBytes(depth: Int, columns: Int) -> Int
  /// Packs rows `depth` of `columns`, which start at a multiple of nr, into their panels and adds to
  /// their sums, if `panels` has some.
  func pack(
    _ depth: Range<Int>, _ columns: Range<Int>, row: Row, into panels: PackedPanels,
    scratch: UnsafeMutableRawPointer)
  /// The matrix as it is read from `panels`.
  func packed(_ panels: PackedPanels) -> Self
}

extension PanelSource {
  func packingBytes(depth: Int, columns: Int) -> Int { 0 }

  /// Packs all of K for `columns` on the pool, several panels an item. False: no memory.
  func pack(
    _ columns: Range<Int>, k: Int, row: Row, into panels: PackedPanels, isParallel: Bool,
    on pool: ThreadPool
  ) -> Bool {
    let count = row.panels(columns.count)
    // At least 64 columns an item, where there are enough: a row of rhs is read in longer runs.
    let share = count / (4 * (isParallel ? pool.threadCount : 1))
    let width = max(1, min(64 / row.nr, share)) * row.nr
    return WorkItems.run(
      (columns.count + width - 1) / width, isParallel: isParallel, on: pool,
      scratchBytes: packingBytes(depth: k, columns: width)
    ) { index, scratch in
      let j0 = columns.lowerBound + index * width
      let part = j0..<min(j0 + width, columns.upperBound)
      panels.sums(part)?.update(repeating: 0, count: row.panels(part.count) * row.nr)
      pack(0..<k, part, row: row, into: panels, scratch: scratch)
    }
  }
}

extension PanelLoop {
  /// Packs rhs once for all threads, some columns at a time, as many as `bytes` hold at least, and has
  /// `items` run the loop that reads them. False: no memory.
  func sharingPanels(
    columns n: Int, bytes: Int = PackedPanels.sharedBytes, threads: Int, isParallel: Bool,
    on pool: ThreadPool, items: (Self, Range<Int>) -> Bool
  ) -> Bool {
    let panels = min(row.panels(n), max(threads * 2, bytes / max(row.panelBytes(k), 1)))
    let most = panels * row.nr
    var isRunning = true
    let hasMemory = ThreadScratch.withBytes(
      PackedPanels.byteCount(columns: most, k: k, row: row), .shared
    ) { shared in
      for j0 in stride(from: 0, to: n, by: most) {
        let columns = j0..<min(j0 + most, n)
        let panels = PackedPanels(at: shared, columns: most, k: k, firstColumn: j0, row: row)
        var loop = self
        loop.rhs = rhs.packed(panels)
        isRunning =
          rhs.pack(columns, k: k, row: row, into: panels, isParallel: isParallel, on: pool)
          && items(loop, columns) && isRunning
      }
    }
    return hasMemory && isRunning
  }
}
