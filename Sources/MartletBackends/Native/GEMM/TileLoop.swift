import MartletCore
import MartletKernels

/// The loops around the tile kernel for one product: K blocks outermost, so that the operands' blocks
/// stay in cache, and each element's sum goes on from where the block before left it.
///
/// A work item is a range of rows by a range of columns; items of one product may run on any
/// threads in any order. No choice made here changes a bit of the result.
struct TileLoop {
  /// Not counted: the backend holds them longer than any product runs.
  unowned(unsafe) let row: GEMMRow
  unowned(unsafe) let kernels: KernelSet
  var k: Int
  /// Depth of a K block (a multiple of kr) and rows of a block of lhs.
  var kc: Int
  var mc: Int
  var lhs: LeftOperand
  var rhs: RightOperand
  var dst: UnsafeMutableRawPointer
  /// Bytes between rows of dst, and of one element of it.
  var dstStride: Int
  var dstElementBytes: Int
  var epilogue: ProductEpilogue
  /// Where and how the sums are kept between K blocks and before the strip's activation.
  var staging: Staging
  /// A residual that the tile cannot read in place (its columns are not contiguous).
  var gatheredResidual: GatheredResidual?
  /// Rows of a tile at most; 0: as many as the kernel row has and L1 keeps a line each of.
  var tileRows = 0
  /// Whether all rows of an item, no more than the row streams, go through its stream kernel.
  var streams = false

  struct Staging {
    /// Partial sums live in scratch, not in dst: dst is not f32, or the residual lies in it.
    var sumsInScratch = false
    /// The tile's results live in scratch until the strip's activation is done: dst is bf16.
    var resultInScratch = false
    var isNeeded: Bool { sumsInScratch || resultInScratch }
  }

  struct GatheredResidual {
    var pointer: UnsafeRawPointer
    /// In bytes.
    var rowStride: Int
    var columnStride: Int
  }

  /// Scratch bytes for items of at most `rows` by `columns`.
  func scratchBytes(rows: Int, columns: Int) -> Int {
    let layout = ScratchLayout(self, rows: rows, columns: columns)
    return layout.byteCount
  }

  private struct ScratchLayout {
    let rhs = 0
    let lhs: Int
    let staging: Int
    let residual: Int
    let byteCount: Int

    init(_ loop: TileLoop, rows: Int, columns: Int) {
      func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
      let depth = min(loop.kc, max(loop.k, 1))
      lhs = aligned(loop.rhs.scratchBytes(depth: depth, columns: columns, row: loop.row))
      staging =
        lhs
        + aligned(
          loop.lhs.scratchBytes(rows: min(rows, loop.mc), depth: depth, row: loop.row))
      let strip = aligned(rows * columns * 4)
      residual = staging + (loop.staging.isNeeded ? strip : 0)
      byteCount = residual + (loop.gatheredResidual == nil ? 0 : strip)
    }
  }

  /// Computes rows × columns of dst. `columns` starts at a multiple of nr.
  func run(rows: Range<Int>, columns: Range<Int>, scratch: UnsafeMutableRawPointer) {
    row.configured { compute(rows: rows, columns: columns, scratch: scratch) }
  }

  private func compute(
    rows: Range<Int>, columns: Range<Int>, scratch: UnsafeMutableRawPointer
  ) {
    let layout = ScratchLayout(self, rows: rows.count, columns: columns.count)
    let stripStride = columns.count * 4
    var epilogue = self.epilogue.tile
    let dstOrigin = dst + (rows.lowerBound * dstStride + columns.lowerBound * dstElementBytes)
    if let bias = epilogue.bias_n { epilogue.bias_n = bias + columns.lowerBound }
    if let bias = epilogue.bias_m { epilogue.bias_m = bias + rows.lowerBound }
    if let gathered = gatheredResidual {
      gather(gathered, rows, columns, into: scratch + layout.residual)
      epilogue.residual = UnsafeRawPointer(scratch + layout.residual)
        .assumingMemoryBound(to: Float.self)
      epilogue.residual_stride = Int64(stripStride)
    } else if let residual = epilogue.residual {
      epilogue.residual =
        (UnsafeRawPointer(residual)
        + (rows.lowerBound * Int(epilogue.residual_stride) + columns.lowerBound * 4))
        .assumingMemoryBound(to: Float.self)
    }
    let strip = scratch + layout.staging
    let area = Area(
      count: (rows.count, columns.count), epilogue: epilogue,
      sums: staging.isNeeded ? strip : dstOrigin,
      sumsStride: staging.isNeeded ? stripStride : dstStride,
      result: staging.resultInScratch ? strip : dstOrigin,
      resultStride: staging.resultInScratch ? stripStride : dstStride)

    var p0 = 0
    repeat {
      let depth = min(kc, k - p0)
      let flags =
        (p0 == 0 ? UInt32(MK_FIRST_K) : 0) | (p0 + depth == k ? UInt32(MK_LAST_K) : 0)
      var panels = rhs.block(
        p0: p0, depth: depth, j0: columns.lowerBound, columns: columns.count, row: row,
        scratch: scratch + layout.rhs)
      var i0 = 0
      repeat {
        let height = min(mc, rows.count - i0)
        if i0 + height == rows.count, p0 + depth < k {
          panels.following = rhs.panel(p0: p0 + depth, j0: columns.lowerBound, row: row)
        }
        let (block, blockStride) = lhs.block(
          i0: rows.lowerBound + i0, rows: height, p0: p0, depth: depth, row: row,
          kernels: kernels, scratch: scratch + layout.lhs)
        if streams {
          area.stream(
            row, height: height, depth: depth, flags: flags, lhs: block, lhsStride: blockStride,
            rhs: panels)
        } else {
          area.runBlock(
            row, tileRows: tileRows, i0: i0, height: height, depth: depth, flags: flags, lhs: block,
            lhsStride: blockStride, rhs: panels)
        }
        if p0 + depth == k {
          finish(area, i0: i0, height: height, dst: dstOrigin)
        }
        i0 += height
      } while i0 < rows.count
      p0 += depth
    } while p0 < k
  }

  /// The strip's activation, and its way into a dst that is not f32.
  private func finish(_ area: Area, i0: Int, height: Int, dst: UnsafeMutableRawPointer) {
    guard let strip = epilogue.strip else { return }
    let count = Int64(area.count.columns)
    for i in i0..<i0 + height {
      let values = (area.result + i * area.resultStride).assumingMemoryBound(to: Float.self)
      strip.function(count, values, values, strip.a, strip.b)
      if staging.resultInScratch {
        kernels.vectors.table.f32_to_bf16(
          count, values, (dst + i * dstStride).assumingMemoryBound(to: UInt16.self))
      }
    }
  }

  private func gather(
    _ residual: GatheredResidual, _ rows: Range<Int>, _ columns: Range<Int>,
    into target: UnsafeMutableRawPointer
  ) {
    let values = target.assumingMemoryBound(to: Float.self)
    var next = 0
    for i in rows {
      let row = residual.pointer + i * residual.rowStride
      for j in columns {
        values[next] = row.load(fromByteOffset: j * residual.columnStride, as: Float.self)
        next += 1
      }
    }
  }

  /// One work item's place in dst; every pointer is that of its first element.
  private struct Area {
    let count: (rows: Int, columns: Int)
    let epilogue: mk_epilogue
    let sums: UnsafeMutableRawPointer
    let sumsStride: Int
    let result: UnsafeMutableRawPointer
    let resultStride: Int

    /// All rows of the area against one block of rhs.
    func stream(
      _ row: GEMMRow, height: Int, depth: Int, flags: UInt32, lhs: UnsafeRawPointer,
      lhsStride: Int, rhs: RightOperand.Block
    ) {
      guard let kernel = rhs.isColumns ? row.columns : row.stream else { return }
      let whole = rhs.tail?.column ?? count.columns
      withUnsafePointer(to: epilogue) { epilogue in
        var job = mk_gemm_stream()
        job.m = Int64(height)
        job.n = Int64(whole)
        job.k = Int64(depth)
        job.lhs = lhs
        job.lhs_stride = Int64(lhsStride)
        job.rhs = rhs.panels
        job.rhs_panel_stride = Int64(rhs.panelStride)
        job.rhs_line_stride = Int64(rhs.lineStride)
        job.dst = result
        job.dst_stride = Int64(resultStride)
        job.epilogue = epilogue
        job.acc = sums.assumingMemoryBound(to: Float.self)
        job.acc_stride = Int64(sumsStride)
        if flags & UInt32(MK_FIRST_K) == 0 { job.flags |= UInt32(MK_RESUME) }
        if flags & UInt32(MK_LAST_K) == 0 { job.flags |= UInt32(MK_SUSPEND) }
        if whole > 0 { kernel(&job) }
      }
      if let tail = rhs.tail {
        runPanels(
          row, tileRows: 0, from: tail.column, i0: 0, height: height, depth: depth,
          flags: flags, lhs: lhs, lhsStride: lhsStride, rhs: rhs)
      }
    }

    /// One block of lhs against all panels of one block of rhs. A panel stays in L1 while the rows
    /// pass over it.
    func runBlock(
      _ row: GEMMRow, tileRows: Int, i0: Int, height: Int, depth: Int, flags: UInt32,
      lhs: UnsafeRawPointer, lhsStride: Int, rhs: RightOperand.Block
    ) {
      runPanels(
        row, tileRows: tileRows, from: 0, i0: i0, height: height, depth: depth, flags: flags,
        lhs: lhs, lhsStride: lhsStride, rhs: rhs)
    }

    private func runPanels(
      _ row: GEMMRow, tileRows: Int, from firstColumn: Int, i0: Int, height: Int, depth: Int,
      flags: UInt32, lhs: UnsafeRawPointer, lhsStride: Int, rhs: RightOperand.Block
    ) {
      let most = CacheSets.level1.rows(atMost: max(row.mr, row.tallMR), stride: lhsStride)
      func tiles(_ columns: Int) -> Tiles {
        let isTall = columns <= row.vector && row.tallMR <= most
        return Tiles(
          height, atMost: tileRows > 0 ? tileRows : min(row.mr, most),
          tall: isTall ? row.tallMR : 0)
      }
      let dstBytes = flags & UInt32(MK_LAST_K) != 0 ? row.dst.wholeByteCount : 4
      var epilogue = self.epilogue
      let whole = epilogue
      var tile = mk_gemm_tile()
      tile.k = Int64(depth)
      tile.lhs_stride = Int64(lhsStride)
      tile.acc_stride = Int64(sumsStride)
      tile.dst_stride = Int64(resultStride)
      tile.flags = flags
      withUnsafeMutablePointer(to: &epilogue) { epilogue in
        tile.epilogue = UnsafePointer(epilogue)
        let tail = rhs.tail?.column ?? count.columns
        for j in stride(from: firstColumn, to: count.columns, by: row.nr) {
          tile.n = Int64(min(row.nr, count.columns - j))
          tile.rhs = rhs.panels + j / row.nr * rhs.panelStride
          tile.rhs_line_stride = Int64(rhs.lineStride)
          if j >= tail, let panel = rhs.tail?.panel {
            tile.rhs = panel
            tile.rhs_line_stride = 0
          }
          if let bias = whole.bias_n { epilogue.pointee.bias_n = bias + j }
          let next =
            j + row.nr < count.columns
            ? rhs.panels + (j / row.nr + 1) * rhs.panelStride : rhs.following
          var i = i0
          let tiles = tiles(Int(tile.n))
          let ahead = Ahead(next, tiles: tiles.count, depth: depth, row: row, rhs: rhs)
          tile.prefetch_step = ahead.step
          for index in 0..<tiles.count {
            let rows = tiles.rows(index)
            tile.m = Int64(rows)
            tile.lhs = lhs + (i - i0) * lhsStride
            tile.acc = (sums + (i * sumsStride + j * 4)).assumingMemoryBound(to: Float.self)
            tile.dst = result + (i * resultStride + j * dstBytes)
            if let bias = whole.bias_m { epilogue.pointee.bias_m = bias + i }
            if let residual = whole.residual {
              epilogue.pointee.residual =
                (UnsafeRawPointer(residual) + (i * Int(whole.residual_stride) + j * 4))
                .assumingMemoryBound(to: Float.self)
            }
            tile.prefetch = ahead.start(index)
            row.tile(&tile)
            i += rows
          }
        }
      }
    }
  }
}

/// What the tiles of a panel fetch of the panel that comes next: each a share of it, for a panel from
/// memory takes longer than one tile (32x4096x4096 in BF16 mode, AVX-512: 190 GFLOP/s became 218).
private struct Ahead {
  /// Bytes that a tile moves on per group of K; 0: a line.
  let step: Int64
  private let next: UnsafeRawPointer?
  private let share: Int
  private let last: Int

  init(
    _ next: UnsafeRawPointer?, tiles: Int, depth: Int, row: GEMMRow, rhs: RightOperand.Block
  ) {
    self.next = next
    last = tiles - 1
    guard rhs.lineStride == 0, tiles > 1 else {
      (step, share) = (0, 0)
      return
    }
    let step = (row.nr * row.kr * row.rhsBytes + tiles - 1) / tiles
    self.step = Int64(step)
    share = step * ((depth + row.kr - 1) / row.kr)
  }

  /// Where tile `index` of the panel begins. Lines that lie apart in rhs are left to the last tile.
  func start(_ index: Int) -> UnsafeRawPointer? {
    if share == 0 { return index == last ? next : nil }
    return next.map { $0 + index * share }
  }
}

/// How rows are dealt to tiles: to tall ones first, then evenly: 7 rows on a tile of 6 are 4 and 3,
/// not 6 and 1.
private struct Tiles {
  let count: Int
  private let tall: (count: Int, rows: Int)
  private let base: Int
  private let extra: Int

  /// `tall`: rows of a tall tile; 0: there is none.
  init(_ rows: Int, atMost tileRows: Int, tall tallRows: Int) {
    tall = tallRows > 0 ? (rows / tallRows, tallRows) : (0, 0)
    let rest = rows - tall.count * tall.rows
    let even = (rest + tileRows - 1) / tileRows
    (base, extra) = even > 0 ? rest.quotientAndRemainder(dividingBy: even) : (0, 0)
    count = tall.count + even
  }

  func rows(_ index: Int) -> Int {
    guard index >= tall.count else { return tall.rows }
    return index - tall.count < extra ? base + 1 : base
  }
}
