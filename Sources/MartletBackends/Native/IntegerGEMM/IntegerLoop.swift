import MartletCore
import MartletKernels

/// Products of 8-bit integers: both sides are packed with the sums of their rows and columns, by which
/// `finish` takes the zero points out of int32 sums, which are exact modulo 2^32.
struct IntegerLoop: PanelLoop {
  /// Not counted: the backend holds it longer than any product runs.
  unowned(unsafe) let row: IntegerRow
  var k: Int
  var kc: Int
  var mc: Int
  var lhs: MatrixView
  var rhs: IntegerRightOperand
  var lhsZero: ZeroPoints
  var rhsZero: ZeroPoints
  var dst: UnsafeMutableRawPointer
  var dstType: DType
  /// In bytes.
  var dstStride: Int
  var epilogue: IntegerEpilogue

  /// Whether the sums of rhs' columns, or of lhs' rows, take part in the result.
  private var needsColumnSums: Bool { !lhsZero.isZero(after: row.lhsShift(lhs.dtype)) }
  private var needsRowSums: Bool { !rhsZero.isZero(after: row.rhsShift(rhs.dtype)) }
  /// Sums go to dst itself.
  fileprivate var sumsInDst: Bool { dstType == .int32 }
  private var needsFinish: Bool {
    !sumsInDst || needsColumnSums || needsRowSums || epilogue.rowBias != nil
      || epilogue.columnBias != nil
  }
  fileprivate var lhsStride: Int { row.lhsStride(min(kc, max(k, 1))) }

  struct Item: PanelItem {
    let rows: Range<Int>
    let columns: Range<Int>
    let scratch: ScratchPlaces
    let lhs: UnsafeMutableRawPointer
    /// Where the item packs rhs, and what that takes.
    let rhs: UnsafeMutableRawPointer
    let packing: UnsafeMutableRawPointer
    /// A panel widened.
    let wide: UnsafeMutableRawPointer
    let sums: UnsafeMutableRawPointer
    let rowZero: UnsafeMutablePointer<Int32>
    let rowSums: UnsafeMutablePointer<Int32>
    let columnZero: UnsafeMutablePointer<Int32>
    let columnSums: UnsafeMutablePointer<Int32>

    init(
      _ loop: IntegerLoop, rows: Range<Int>, columns: Range<Int>, scratch: ScratchPlaces
    ) {
      (self.rows, self.columns) = (rows, columns)
      var scratch = scratch
      let (row, depth) = (loop.row, min(loop.kc, max(loop.k, 1)))
      let height = min(rows.count, loop.mc)
      let panels = row.panels(columns.count)
      lhs = scratch.take(height * loop.lhsStride)
      rhs = scratch.take(loop.rhs.panels == nil ? panels * row.panelBytes(depth) : 0)
      packing = scratch.take(loop.rhs.packingBytes(depth: depth, columns: columns.count))
      wide = scratch.take(row.widePanelBytes(depth))
      // The sums of one block of rows, unless they wait for the next block of K.
      let kept = loop.k <= loop.kc ? height : rows.count
      sums = scratch.take(loop.sumsInDst ? 0 : kept * columns.count * 4)
      rowZero = scratch.takeWords(rows.count)
      rowSums = scratch.takeWords(rows.count)
      columnZero = scratch.takeWords(panels * row.nr)
      columnSums = scratch.takeWords(panels * row.nr)
      self.scratch = scratch
    }
  }

  func begin(_ item: Item) {
    item.rowSums.update(repeating: 0, count: item.rows.count)
    item.columnSums.update(repeating: 0, count: row.panels(item.columns.count) * row.nr)
  }

  /// Element (i, j) of dst.
  private func target(_ i: Int, _ j: Int) -> UnsafeMutableRawPointer {
    dst + (i * dstStride + j * dstType.wholeByteCount)
  }

  /// Where the sums of some of the item's rows are.
  private func sums(
    _ rows: Range<Int>, of item: Item
  ) -> (start: UnsafeMutableRawPointer, stride: Int) {
    if sumsInDst {
      return (target(item.rows.lowerBound + rows.lowerBound, item.columns.lowerBound), dstStride)
    }
    let stride = item.columns.count * 4
    return (k <= kc ? item.sums : item.sums + rows.lowerBound * stride, stride)
  }

  func rhsBlock(_ depth: Range<Int>, of item: Item) -> PackedPanels {
    if var panels = rhs.panels {
      panels.base = panels.panel(item.columns.lowerBound, p0: depth.lowerBound, row: row)
      return panels
    }
    let panels = PackedPanels(
      base: item.rhs, stride: row.panelBytes(depth.count), firstColumn: item.columns.lowerBound,
      sums: needsColumnSums ? item.columnSums : nil)
    rhs.pack(depth, item.columns, row: row, into: panels, scratch: item.packing)
    return panels
  }

  func lhsBlock(_ block: ProductBlock, of item: Item) -> LeftBlock {
    let i0 = item.rows.lowerBound + block.rows.lowerBound
    var job = mk_int8_pack_lhs()
    job.m = Int64(block.rows.count)
    job.k = Int64(block.depth.count)
    job.src =
      UnsafeRawPointer(lhs.pointer)
      + (i0 * lhs.rowStride + block.depth.lowerBound * lhs.columnStride)
    job.m_stride = Int64(lhs.rowStride)
    job.k_stride = Int64(lhs.columnStride)
    job.is_signed = lhs.dtype == .int8
    job.dst = item.lhs
    job.dst_stride = Int64(lhsStride)
    job.sums = needsRowSums ? item.rowSums + block.rows.lowerBound : nil
    row.packLHS(&job)
    return LeftBlock(start: UnsafeRawPointer(item.lhs), stride: lhsStride)
  }

  /// Tiles that must share a panel before widening it for them pays.
  private static let wideningTiles = 4

  /// One block of lhs against all panels: a panel stays in L1 while the rows pass over it.
  func multiply(_ block: ProductBlock, _ lhs: LeftBlock, _ rhs: PackedPanels, into item: Item) {
    let row = row
    let tiles = Tiles(block.rows.count, atMost: row.mr)
    let sums = sums(block.rows, of: item)
    var tile = mk_int8_tile()
    tile.k = Int64(block.depth.count)
    tile.lhs_stride = Int64(lhs.stride)
    tile.dst_stride = Int64(sums.stride)
    tile.accumulates = !block.isFirst
    let widens = tiles.count >= IntegerLoop.wideningTiles && row.widen != nil
    let kernel = widens ? row.wideTile ?? row.tile : row.tile
    let columns = item.columns.count
    for j in stride(from: 0, to: columns, by: row.nr) {
      tile.n = Int64(min(row.nr, columns - j))
      let panel = rhs.base + j / row.nr * rhs.stride
      if widens { row.widen?(Int64(block.depth.count), panel, item.wide) }
      tile.rhs = UnsafeRawPointer(widens ? item.wide : panel)
      let hasNext = j + row.nr < columns && tiles.count > 1
      var i = 0
      for index in 0..<tiles.count {
        let rows = tiles.rows(index)
        tile.m = Int64(rows)
        tile.lhs = lhs.start + i * lhs.stride
        tile.dst = (sums.start + (i * sums.stride + j * 4)).assumingMemoryBound(to: Int32.self)
        tile.prefetch =
          hasNext && index == tiles.count - 1 ? UnsafeRawPointer(panel + rhs.stride) : nil
        kernel(&tile)
        i += rows
      }
    }
  }

  func finish(_ rows: Range<Int>, of item: Item) {
    guard needsFinish else { return }
    let first = item.rows.lowerBound + rows.lowerBound
    let column = item.columns.lowerBound
    let sums = sums(rows, of: item)
    var job = mk_int8_finish()
    job.m = Int64(rows.count)
    job.n = Int64(item.columns.count)
    job.src = UnsafeRawPointer(sums.start).assumingMemoryBound(to: Int32.self)
    job.src_stride = Int64(sums.stride)
    job.dst = target(first, column)
    job.dst_stride = Int64(dstStride)
    job.dst_type = dstType.rawValue
    lhsZero.write(first..<first + rows.count, plus: row.lhsShift(lhs.dtype), to: item.rowZero)
    if needsColumnSums {
      job.row_zero = UnsafePointer(item.rowZero)
      let packed = rhs.panels?.sums(item.columns)
      job.column_sum = UnsafePointer(packed ?? item.columnSums)
    }
    if needsRowSums {
      // sum (a - za)(b - zb): zb meets the row's sum of a - za.
      let sums = item.rowSums + rows.lowerBound
      for i in 0..<rows.count {
        sums[i] &-= Int32(truncatingIfNeeded: k) &* item.rowZero[i]
      }
      rhsZero.write(item.columns, plus: row.rhsShift(rhs.dtype), to: item.columnZero)
      job.row_sum = UnsafePointer(sums)
      job.column_zero = UnsafePointer(item.columnZero)
    }
    job.row_bias = epilogue.rowBias.map { $0 + first }
    job.column_bias = epilogue.columnBias.map { $0 + column }
    job.scale = epilogue.scale
    job.row_scale = epilogue.rowScale.map { $0 + first }
    job.column_scale = epilogue.columnScale.map { $0 + column }
    job.row_addend = epilogue.rowAddend.map { $0 + first }
    job.column_addend = epilogue.columnAddend.map { $0 + column }
    job.zero = epilogue.zero
    job.lo = dstType == .uint8 ? 0 : -128
    job.hi = dstType == .uint8 ? 255 : 127
    row.finish(&job)
  }
}

extension ZeroPoints {
  /// Whether all are surely zero once `shift` is added.
  fileprivate func isZero(after shift: Int32) -> Bool {
    if case .one(let value) = self { value &+ shift == 0 } else { false }
  }

  fileprivate func write(
    _ range: Range<Int>, plus shift: Int32, to target: UnsafeMutablePointer<Int32>
  ) {
    switch self {
    case .one(let value): target.update(repeating: value &+ shift, count: range.count)
    case .each(let values):
      for index in 0..<range.count { target[index] = values[range.lowerBound + index] &+ shift }
    }
  }

  /// Those from `index` on.
  func moved(by index: Int) -> ZeroPoints {
    if case .each(let values) = self { .each(values + index) } else { self }
  }
}
