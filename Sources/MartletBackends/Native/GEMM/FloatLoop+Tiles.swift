import MartletKernels

extension FloatLoop {
  func multiply(
    _ block: ProductBlock, _ lhs: LeftBlock, _ rhs: RightOperand.Block, into item: Item
  ) {
    if streams {
      stream(block, lhs, rhs, into: item)
    } else {
      runTiles(block, lhs, rhs, from: 0, atMost: tileRows, into: item)
    }
  }

  /// All rows of the item against one block of rhs.
  private func stream(
    _ block: ProductBlock, _ lhs: LeftBlock, _ rhs: RightOperand.Block, into item: Item
  ) {
    guard let kernel = rhs.isColumns ? row.columns : row.stream else { return }
    let whole = rhs.tail?.column ?? item.columns.count
    withUnsafePointer(to: item.epilogue) { epilogue in
      var job = mk_gemm_stream()
      job.m = Int64(block.rows.count)
      job.n = Int64(whole)
      job.k = Int64(block.depth.count)
      job.lhs = lhs.start
      job.lhs_stride = Int64(lhs.stride)
      job.rhs = rhs.panels
      job.rhs_panel_stride = Int64(rhs.panelStride)
      job.rhs_line_stride = Int64(rhs.lineStride)
      job.dst = item.result
      job.dst_stride = Int64(item.resultStride)
      job.epilogue = epilogue
      job.acc = item.sums.assumingMemoryBound(to: Float.self)
      job.acc_stride = Int64(item.sumsStride)
      if !block.isFirst { job.flags |= UInt32(MK_RESUME) }
      if !block.isLast { job.flags |= UInt32(MK_SUSPEND) }
      if whole > 0 { kernel(&job) }
    }
    if let tail = rhs.tail {
      runTiles(block, lhs, rhs, from: tail.column, atMost: 0, into: item)
    }
  }

  /// One block of lhs against all panels of one block of rhs from a column on. A panel stays in L1
  /// while the rows pass over it.
  private func runTiles(
    _ block: ProductBlock, _ lhs: LeftBlock, _ rhs: RightOperand.Block, from firstColumn: Int,
    atMost tileRows: Int, into item: Item
  ) {
    let row = row
    let most = CacheSets.level1.rows(atMost: max(row.mr, row.tallMR), stride: lhs.stride)
    func tiles(_ columns: Int) -> Tiles {
      let isTall = columns <= row.vector && row.tallMR <= most
      return Tiles(
        block.rows.count, atMost: tileRows > 0 ? tileRows : min(row.mr, most),
        tall: isTall ? row.tallMR : 0)
    }
    // What is read after the last panel.
    var following: UnsafeRawPointer?
    if case .panels(let panels) = self.rhs, !block.isLast, block.rows.upperBound == item.rows.count
    {
      following = UnsafeRawPointer(
        panels.panel(item.columns.lowerBound, p0: block.depth.upperBound, row: row))
    }
    let dstBytes = block.isLast ? row.dst.wholeByteCount : 4
    let (columns, whole) = (item.columns.count, item.epilogue)
    var epilogue = whole
    var tile = mk_gemm_tile()
    tile.k = Int64(block.depth.count)
    tile.lhs_stride = Int64(lhs.stride)
    tile.acc_stride = Int64(item.sumsStride)
    tile.dst_stride = Int64(item.resultStride)
    tile.flags =
      (block.isFirst ? UInt32(MK_FIRST_K) : 0) | (block.isLast ? UInt32(MK_LAST_K) : 0)
    withUnsafeMutablePointer(to: &epilogue) { epilogue in
      tile.epilogue = UnsafePointer(epilogue)
      let tail = rhs.tail?.column ?? columns
      for j in stride(from: firstColumn, to: columns, by: row.nr) {
        tile.n = Int64(min(row.nr, columns - j))
        tile.rhs = rhs.panels + j / row.nr * rhs.panelStride
        tile.rhs_line_stride = Int64(rhs.lineStride)
        if j >= tail, let panel = rhs.tail?.panel {
          tile.rhs = panel
          tile.rhs_line_stride = 0
        }
        if let bias = whole.bias_n { epilogue.pointee.bias_n = bias + j }
        let next =
          j + row.nr < columns ? rhs.panels + (j / row.nr + 1) * rhs.panelStride : following
        let tiles = tiles(Int(tile.n))
        let ahead = Ahead(next, tiles: tiles.count, depth: block.depth.count, row: row, rhs: rhs)
        tile.prefetch_step = ahead.step
        var i = block.rows.lowerBound
        for index in 0..<tiles.count {
          let rows = tiles.rows(index)
          tile.m = Int64(rows)
          tile.lhs = lhs.start + (i - block.rows.lowerBound) * lhs.stride
          tile.acc = (item.sums + (i * item.sumsStride + j * 4))
            .assumingMemoryBound(to: Float.self)
          tile.dst = item.result + (i * item.resultStride + j * dstBytes)
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
