import MartletCore
import MartletKernels

/// The loops around the integer tile for one product. A work item is a range of rows by a range of
/// columns; integers sum exactly, so nothing here changes a bit of the result.
struct IntegerLoop {
  /// The right-hand side as items read it.
  enum Right {
    /// Panels over the whole of K and the columns' sums; `firstColumn` opens the first panel.
    case panels(UnsafeRawPointer, stride: Int, sums: UnsafePointer<Int32>, firstColumn: Int)
    /// Packed by each item for itself; strides in bytes.
    case strided(UnsafeRawPointer, kStride: Int, nStride: Int)
    /// The implicit im2col matrix of one image and group, packed by each item.
    case image(mk_pack_conv, UnsafePointer<UInt8>, fill: UInt8)
  }

  /// Not counted: the backend holds it longer than any product runs.
  unowned(unsafe) let row: IntegerRow
  var k: Int
  var kc: Int
  var mc: Int
  var lhs: MatrixView
  var right: Right
  var rhsType: DType
  var lhsZero: ZeroPoints
  var rhsZero: ZeroPoints
  var dst: UnsafeMutableRawPointer
  var dstType: DType
  /// In bytes.
  var dstStride: Int
  var epilogue: IntegerEpilogue

  /// Whether the sums of rhs' columns, or of lhs' rows, take part in the result.
  private var needsColumnSums: Bool { !lhsZero.isZero(after: row.lhsShift(lhs.dtype)) }
  private var needsRowSums: Bool { !rhsZero.isZero(after: row.rhsShift(rhsType)) }
  /// Sums go to dst itself.
  private var sumsInDst: Bool { dstType == .int32 }
  private var needsFinish: Bool {
    !sumsInDst || needsColumnSums || needsRowSums || epilogue.rowBias != nil
      || epilogue.columnBias != nil
  }

  /// Where an item keeps what, in bytes from the start of its scratch.
  private struct Layout {
    var lhs = 0
    var rhs = 0
    var wide = 0
    var im2col = 0
    var sums = 0
    var rowZero = 0
    var rowSums = 0
    var columnZero = 0
    var columnSums = 0
    var byteCount = 0

    init(_ loop: IntegerLoop, rows: Int, columns: Int) {
      let row = loop.row
      let depth = min(loop.kc, max(loop.k, 1))
      let padded = (columns + row.nr - 1) / row.nr * row.nr
      func take(_ bytes: Int) -> Int {
        defer { byteCount += (bytes + 63) / 64 * 64 }
        return byteCount
      }
      lhs = take(min(rows, loop.mc) * row.lhsStride(depth))
      if case .panels = loop.right {} else { rhs = take(padded / row.nr * row.panelBytes(depth)) }
      wide = take(row.widePanelBytes(depth))
      if case .image = loop.right { im2col = take(depth * columns) }
      // The sums of one block of rows, unless they wait for the next block of K.
      let kept = loop.k <= loop.kc ? min(rows, loop.mc) : rows
      if !loop.sumsInDst { sums = take(kept * columns * 4) }
      rowZero = take(rows * 4)
      rowSums = take(rows * 4)
      columnZero = take(padded * 4)
      columnSums = take(padded * 4)
    }
  }

  func scratchBytes(rows: Int, columns: Int) -> Int {
    Layout(self, rows: rows, columns: columns).byteCount
  }

  /// Computes rows × columns of dst; `columns` starts at a multiple of nr.
  func run(rows: Range<Int>, columns: Range<Int>, scratch: UnsafeMutableRawPointer) {
    row.configured { compute(rows: rows, columns: columns, scratch: scratch) }
  }

  private func compute(
    rows: Range<Int>, columns: Range<Int>, scratch: UnsafeMutableRawPointer
  ) {
    let layout = Layout(self, rows: rows.count, columns: columns.count)
    func words(_ offset: Int) -> UnsafeMutablePointer<Int32> {
      (scratch + offset).assumingMemoryBound(to: Int32.self)
    }
    let rowSums = words(layout.rowSums)
    let columnSums = words(layout.columnSums)
    rowSums.update(repeating: 0, count: rows.count)
    columnSums.update(
      repeating: 0, count: (columns.count + row.nr - 1) / row.nr * row.nr)
    let area = dst + (rows.lowerBound * dstStride + columns.lowerBound * dstType.wholeByteCount)
    let isOneBlock = k <= kc
    let sums = sumsInDst ? area : scratch + layout.sums
    let sumsStride = sumsInDst ? dstStride : columns.count * 4
    var p0 = 0
    repeat {
      let depth = min(kc, k - p0)
      let (panels, panelStride) = panels(
        p0: p0, depth: depth, columns: columns, scratch, layout, sums: columnSums)
      var i0 = 0
      repeat {
        let height = min(mc, rows.count - i0)
        packLHS(
          i0: rows.lowerBound + i0, height: height, p0: p0, depth: depth,
          into: scratch + layout.lhs, sums: rowSums + i0)
        let block = sumsInDst || !isOneBlock ? sums + i0 * sumsStride : sums
        runTiles(
          height: height, columns: columns.count, depth: depth, isFirst: p0 == 0,
          lhs: scratch + layout.lhs, panels, panelStride, wide: scratch + layout.wide, sums: block,
          sumsStride)
        if p0 + depth == k, needsFinish {
          finish(
            i0: i0, height: height, rows: rows, columns: columns, sums: block, sumsStride,
            into: area + i0 * dstStride, scratch, layout)
        }
        i0 += height
      } while i0 < rows.count
      p0 += depth
    } while p0 < k
  }

  private func panels(
    p0: Int, depth: Int, columns: Range<Int>, _ scratch: UnsafeMutableRawPointer,
    _ layout: Layout, sums: UnsafeMutablePointer<Int32>
  ) -> (UnsafeRawPointer, stride: Int) {
    if case .panels(let base, let stride, _, let firstColumn) = right {
      let panel = (columns.lowerBound - firstColumn) / row.nr
      return (base + panel * stride + p0 * row.nr, stride)
    }
    var job = mk_int8_pack_rhs()
    job.k = Int64(depth)
    job.n = Int64(columns.count)
    job.is_signed = rhsType == .int8
    job.dst = scratch + layout.rhs
    job.dst_panel_stride = Int64(row.panelBytes(depth))
    job.sums = needsColumnSums ? sums : nil
    switch right {
    case .panels: break
    case .strided(let pointer, let kStride, let nStride):
      job.src = pointer + (p0 * kStride + columns.lowerBound * nStride)
      job.k_stride = Int64(kStride)
      job.n_stride = Int64(nStride)
    case .image(var image, let src, let fill):
      image.k0 = Int64(p0)
      image.k = Int64(depth)
      image.n0 = Int64(columns.lowerBound)
      image.n = Int64(columns.count)
      let matrix = scratch + layout.im2col
      mk_im2col_8bit(
        &image, src, fill, matrix.assumingMemoryBound(to: UInt8.self), Int64(columns.count))
      job.src = UnsafeRawPointer(matrix)
      job.k_stride = Int64(columns.count)
      job.n_stride = 1
    }
    row.packRHS(&job)
    return (UnsafeRawPointer(scratch + layout.rhs), row.panelBytes(depth))
  }

  private func packLHS(
    i0: Int, height: Int, p0: Int, depth: Int, into target: UnsafeMutableRawPointer,
    sums: UnsafeMutablePointer<Int32>
  ) {
    var job = mk_int8_pack_lhs()
    job.m = Int64(height)
    job.k = Int64(depth)
    job.src = UnsafeRawPointer(lhs.pointer) + (i0 * lhs.rowStride + p0 * lhs.columnStride)
    job.m_stride = Int64(lhs.rowStride)
    job.k_stride = Int64(lhs.columnStride)
    job.is_signed = lhs.dtype == .int8
    job.dst = target
    job.dst_stride = Int64(row.lhsStride(min(kc, max(k, 1))))
    job.sums = needsRowSums ? sums : nil
    row.packLHS(&job)
  }

  /// Tiles that must share a panel before widening it for them pays.
  private static let wideningTiles = 4

  /// One block of lhs against all panels: a panel stays in L1 while the rows pass over it.
  private func runTiles(
    height: Int, columns: Int, depth: Int, isFirst: Bool, lhs: UnsafeRawPointer,
    _ panels: UnsafeRawPointer, _ panelStride: Int, wide: UnsafeMutableRawPointer,
    sums: UnsafeMutableRawPointer, _ sumsStride: Int
  ) {
    // Rows are dealt evenly: 7 rows on a tile of 6 are 4 and 3, not 6 and 1.
    let tiles = (height + row.mr - 1) / row.mr
    let (base, extra) = height.quotientAndRemainder(dividingBy: tiles)
    let lhsStride = row.lhsStride(min(kc, max(k, 1)))
    var tile = mk_int8_tile()
    tile.k = Int64(depth)
    tile.lhs_stride = Int64(lhsStride)
    tile.dst_stride = Int64(sumsStride)
    tile.accumulates = !isFirst
    let widens = tiles >= IntegerLoop.wideningTiles && row.widen != nil
    let kernel = widens ? row.wideTile ?? row.tile : row.tile
    for j in stride(from: 0, to: columns, by: row.nr) {
      tile.n = Int64(min(row.nr, columns - j))
      let panel = panels + j / row.nr * panelStride
      if widens { row.widen?(Int64(depth), panel, wide) }
      tile.rhs = widens ? UnsafeRawPointer(wide) : panel
      let hasNext = j + row.nr < columns
      var i = 0
      for index in 0..<tiles {
        let rows = index < extra ? base + 1 : base
        tile.m = Int64(rows)
        tile.lhs = lhs + i * lhsStride
        tile.dst = (sums + (i * sumsStride + j * 4)).assumingMemoryBound(to: Int32.self)
        tile.prefetch =
          hasNext && tiles > 1 && index == tiles - 1
          ? panel + panelStride : nil
        kernel(&tile)
        i += rows
      }
    }
  }

  private func finish(
    i0: Int, height: Int, rows: Range<Int>, columns: Range<Int>, sums: UnsafeRawPointer,
    _ sumsStride: Int, into area: UnsafeMutableRawPointer, _ scratch: UnsafeMutableRawPointer,
    _ layout: Layout
  ) {
    func words(_ offset: Int) -> UnsafeMutablePointer<Int32> {
      (scratch + offset).assumingMemoryBound(to: Int32.self)
    }
    let first = rows.lowerBound + i0
    var job = mk_int8_finish()
    job.m = Int64(height)
    job.n = Int64(columns.count)
    job.src = sums.assumingMemoryBound(to: Int32.self)
    job.src_stride = Int64(sumsStride)
    job.dst = area
    job.dst_stride = Int64(dstStride)
    job.dst_type = dstType.rawValue
    let rowZero = words(layout.rowZero)
    lhsZero.write(first..<first + height, plus: row.lhsShift(lhs.dtype), to: rowZero)
    if needsColumnSums {
      job.row_zero = UnsafePointer(rowZero)
      job.column_sum =
        if case .panels(_, _, let sums, let firstColumn) = right {
          sums + (columns.lowerBound - firstColumn)
        } else {
          UnsafePointer(words(layout.columnSums))
        }
    }
    if needsRowSums {
      // sum (a - za)(b - zb): zb meets the row's sum of a - za.
      let sums = words(layout.rowSums) + i0
      for i in 0..<height {
        sums[i] &-= Int32(truncatingIfNeeded: k) &* rowZero[i]
      }
      let columnZero = words(layout.columnZero)
      rhsZero.write(columns, plus: row.rhsShift(rhsType), to: columnZero)
      job.row_sum = UnsafePointer(sums)
      job.column_zero = UnsafePointer(columnZero)
    }
    job.row_bias = epilogue.rowBias.map { $0 + first }
    job.column_bias = epilogue.columnBias.map { $0 + columns.lowerBound }
    job.scale = epilogue.scale
    job.row_scale = epilogue.rowScale.map { $0 + first }
    job.column_scale = epilogue.columnScale.map { $0 + columns.lowerBound }
    job.row_addend = epilogue.rowAddend.map { $0 + first }
    job.column_addend = epilogue.columnAddend.map { $0 + columns.lowerBound }
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
