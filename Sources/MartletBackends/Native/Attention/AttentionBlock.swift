import MartletCore
import MartletKernels

/// One task's queries against one block of keys.
struct AttentionBlock {
  private let attention: FusedAttention
  private let task: FusedAttention.Task
  private let scratch: UnsafeMutableRawPointer
  private let layout: FusedAttention.ScratchLayout
  /// The block's first key.
  private let firstKey: Int
  /// Keys of the block that the query which sees most of them sees, and that which sees fewest.
  private let most: Int
  private let fewest: Int

  private var problem: AttentionProblem { attention.problem }
  private var row: GEMMRow { attention.row }
  private var kernels: KernelSet { attention.kernels }

  init(
    _ attention: FusedAttention, _ task: FusedAttention.Task, _ block: Int,
    _ scratch: UnsafeMutableRawPointer, _ layout: FusedAttention.ScratchLayout
  ) {
    self.attention = attention
    self.task = task
    self.scratch = scratch
    self.layout = layout
    firstKey = block * FusedAttention.keyBlock
    let problem = attention.problem
    func kept(_ query: Int) -> Int {
      AttentionBlock.kept(problem, task.batch, query, from: block * FusedAttention.keyBlock)
    }
    let queries = problem.queries
    let first = task.rows.lowerBound % queries
    let last = (task.rows.upperBound - 1) % queries
    let isOneHead = task.rows.lowerBound / queries == (task.rows.upperBound - 1) / queries
    let range = isOneHead ? first...last : 0...queries - 1
    if problem.visible.windowOffset == nil {
      // A later query sees no fewer keys; rows that run over several heads meet all queries.
      fewest = kept(range.lowerBound)
      most = kept(range.upperBound)
    } else {
      var counts = (fewest: Int.max, most: 0)
      for query in range {
        let count = kept(query)
        counts = (min(counts.fewest, count), max(counts.most, count))
      }
      (fewest, most) = counts
    }
  }

  /// Up to which key of the block from `firstKey` on a query sees, 0 where its window is elsewhere.
  private static func kept(
    _ problem: AttentionProblem, _ batch: Int, _ query: Int, from firstKey: Int
  ) -> Int {
    let count = min(max(problem.limit(batch, query) - firstKey, 0), FusedAttention.keyBlock)
    return problem.hidden(batch, query) - firstKey >= count ? 0 : count
  }

  private func kept(_ row: Int) -> Int {
    AttentionBlock.kept(problem, task.batch, row % problem.queries, from: firstKey)
  }

  /// Adds the block to `sums`, whose row 0 is the task's first; it is the first of them or not.
  func run(into sums: AttentionSums, isFirst: Bool) {
    guard most > 0 else {
      if isFirst { sums.clear(0..<task.rows.count) }
      return
    }
    forEachStrip { strip, separatesRows in
      let start = strip.lowerBound - task.rows.lowerBound
      if isFirst {
        attend(strip, into: sums, at: start, separatesRows)
      } else {
        let seesKeys = attend(strip, into: partial, at: 0, separatesRows)
        if seesKeys { sums.unite(partial, rows: start..<start + strip.count, kernels) }
      }
    }
  }

  /// All there is to the task, its only block: each strip goes to dst while it is in cache.
  func runAlone() {
    forEachStrip { strip, separatesRows in
      attend(strip, into: partial, at: 0, separatesRows)
      attention.finish(task, strip, partial)
    }
  }

  private var partial: AttentionSums {
    AttentionSums(scratch + layout.partial, rows: layout.stripRows, width: problem.valueWidth)
  }

  private func forEachStrip(_ body: (Range<Int>, Bool) -> Void) {
    attention.row.configured { visitStrips(body) }
  }

  private func visitStrips(_ body: (Range<Int>, Bool) -> Void) {
    if !attention.readsInPlace, most > 0 { pack() }
    let separatesRows =
      !attention.readsInPlace && fewest < most && !valuesAreFinite(fewest..<most)
    var start = task.rows.lowerBound
    while start < task.rows.upperBound {
      let strip = strip(from: start)
      start = strip.upperBound
      body(strip, separatesRows)
    }
  }

  /// The next rows to take together: of one head, unless heads have few queries.
  private func strip(from start: Int) -> Range<Int> {
    let end = min(start + layout.stripRows, task.rows.upperBound)
    guard problem.queries * 2 > layout.stripRows else { return start..<end }
    return start..<min(end, (start / problem.queries + 1) * problem.queries)
  }

  // MARK: - Operands

  /// Keys and values as right-hand panels: [E, keys] and [keys, Ev].
  private func pack() {
    let key = problem.key
    let value = problem.value
    var job = mk_pack_rhs()
    job.k = Int64(problem.width)
    job.n = Int64(most)
    job.src = UnsafeRawPointer(key.row(task.batch, task.keyHead, firstKey))
    job.k_stride = Int64(key.columnStride * 4)
    job.n_stride = Int64(key.rowStride * 4)
    job.dst = scratch + layout.keys
    job.dst_panel_stride = Int64(row.panelBytes(problem.width))
    row.packF32(&job)
    job.k = Int64(most)
    job.n = Int64(problem.valueWidth)
    job.src = UnsafeRawPointer(value.row(task.batch, task.keyHead, firstKey))
    job.k_stride = Int64(value.rowStride * 4)
    job.n_stride = Int64(value.columnStride * 4)
    job.dst = scratch + layout.values
    job.dst_panel_stride = Int64(row.panelBytes(most))
    row.packF32(&job)
  }

  /// Whether the values of these keys of the block are finite (and not huge): then a weight of zero
  /// adds nothing to a sum.
  private func valuesAreFinite(_ keys: Range<Int>) -> Bool {
    let value = problem.value
    let sumAbs = kernels.vectors.reduce[Int(MK_REDUCE_SUM_ABS)]
    var total: Float = 0
    for j in keys {
      let line = value.row(task.batch, task.keyHead, firstKey + j)
      if value.columnStride == 1 {
        total += sumAbs(Int64(problem.valueWidth), line)
      } else {
        for e in 0..<problem.valueWidth { total += abs(line[e * value.columnStride]) }
      }
    }
    return total.isFinite
  }

  /// The strip's queries in the kernel row's type with their elements contiguous.
  private func queries(_ strip: Range<Int>) -> (UnsafeRawPointer, strideBytes: Int) {
    let query = problem.query
    func source(_ r: Int) -> UnsafeMutablePointer<Float> {
      let (head, i) = r.quotientAndRemainder(dividingBy: problem.queries)
      return query.row(task.batch, task.keyHead * problem.group + head, i)
    }
    let isOneHead =
      strip.lowerBound / problem.queries == (strip.upperBound - 1) / problem.queries
    if row.lhs == .float32, query.columnStride == 1 || problem.width <= 1, isOneHead {
      return (UnsafeRawPointer(source(strip.lowerBound)), query.rowStride * 4)
    }
    let target = scratch + layout.lhs
    for (index, r) in strip.enumerated() {
      let line = target + index * layout.lhsStride
      let from = source(r)
      if row.lhs == .float32 {
        let to = line.assumingMemoryBound(to: Float.self)
        for e in 0..<problem.width { to[e] = from[e * query.columnStride] }
        continue
      }
      let to = line.assumingMemoryBound(to: UInt16.self)
      if query.columnStride == 1 {
        kernels.vectors.table.f32_to_bf16(Int64(problem.width), from, to)
      } else {
        for e in 0..<problem.width { to[e] = BFloat16.bits(from[e * query.columnStride]) }
      }
    }
    return (UnsafeRawPointer(target), layout.lhsStride)
  }

  // MARK: - Strips

  /// Scores, weights and weighed values of one strip, into rows of `sums` from `target`. False: none of
  /// its queries sees a key of the block.
  @discardableResult
  private func attend(
    _ strip: Range<Int>, into sums: AttentionSums, at target: Int, _ separatesRows: Bool
  ) -> Bool {
    let kept = (scratch + layout.kept).assumingMemoryBound(to: Int64.self)
    var deepest = most
    var shallowest = most
    if fewest == most {
      kept.update(repeating: Int64(most), count: strip.count)
    } else {
      deepest = 0
      for (index, r) in strip.enumerated() {
        let count = self.kept(r)
        kept[index] = Int64(count)
        deepest = max(deepest, count)
        shallowest = min(shallowest, count)
      }
    }
    guard deepest > 0 else {
      sums.clear(target..<target + strip.count)
      return false
    }
    let scores = scratch + layout.scores
    let whole = deepest == shallowest && problem.width > 0 ? row.small : nil
    if attention.readsInPlace {
      multiplyByKeysInPlace(strip, deepest, scores)
    } else if let whole {
      let (lhs, lhsStride) = queries(strip)
      multiply(
        whole, strip.count, deepest, problem.width, lhs, lhsStride, scratch + layout.keys,
        panelStride: row.panelBytes(problem.width), into: scores, layout.scoresStride,
        scale: problem.scale)
    } else {
      multiplyByKeys(strip, kept, deepest, scores)
    }

    var rows = mk_attention_rows()
    rows.rows = Int64(strip.count)
    rows.scores = scores.assumingMemoryBound(to: Float.self)
    rows.stride = Int64(layout.scoresStride)
    rows.weights_bf16 = row.lhs == .bfloat16
    rows.kept = UnsafePointer(kept)
    rows.hidden = hidden(strip)
    rows.filled = Int64((deepest + 15) / 16 * 16)
    rows.softcap = problem.softcap
    rows.max = sums.max + target
    rows.sum = sums.sum + target
    if let mask = problem.mask {
      let pointers = (scratch + layout.masks)
        .assumingMemoryBound(to: UnsafeRawPointer?.self)
      for (index, r) in strip.enumerated() {
        let (head, i) = r.quotientAndRemainder(dividingBy: problem.queries)
        let line = mask.row(task.batch, task.keyHead * problem.group + head, i)
        pointers[index] = line + firstKey * mask.elementBytes
      }
      rows.masks = UnsafePointer(pointers)
      rows.mask_kind = mask.kind == .added ? Int32(MK_MASK_ADD) : Int32(MK_MASK_BYTES)
    }
    kernels.vectors.table.attention_softmax(&rows)

    if attention.readsInPlace {
      multiplyByValuesInPlace(strip.count, kept, scores, sums, target)
    } else if let whole {
      multiply(
        whole, strip.count, problem.valueWidth, deepest, scores, layout.scoresStride,
        scratch + layout.values, panelStride: row.panelBytes(most), into: sums.row(target),
        sums.stride * 4)
    } else {
      multiplyByValues(strip.count, kept, scores, sums, target, separatesRows)
    }
    return true
  }

  /// Per query of a strip, how many of the block's keys lie before its window; nil: none.
  private func hidden(_ strip: Range<Int>) -> UnsafePointer<Int64>? {
    guard problem.visible.windowOffset != nil else { return nil }
    let hidden = (scratch + layout.hidden).assumingMemoryBound(to: Int64.self)
    var most: Int64 = 0
    for (index, r) in strip.enumerated() {
      hidden[index] = Int64(max(problem.hidden(task.batch, r % problem.queries) - firstKey, 0))
      most = max(most, hidden[index])
    }
    return most > 0 ? UnsafePointer(hidden) : nil
  }

  // MARK: - A few rows

  private func multiplyByKeysInPlace(
    _ strip: Range<Int>, _ deepest: Int, _ scores: UnsafeMutableRawPointer
  ) {
    let (lhs, lhsStride) = queries(strip)
    let keys = problem.key.row(task.batch, task.keyHead, firstKey)
    if row.lhs == .bfloat16, let columns = row.columns {
      multiply(
        columns, strip.count, deepest, problem.width, lhs, lhsStride, keys,
        lineStride: problem.key.rowStride * 4, into: scores, layout.scoresStride,
        scale: problem.scale)
      return
    }
    var job = mk_few_rows()
    job.m = Int64(strip.count)
    job.n = Int64(deepest)
    job.k = Int64(problem.width)
    job.lhs = lhs.assumingMemoryBound(to: Float.self)
    job.lhs_stride = Int64(lhsStride)
    job.rhs = UnsafePointer(keys)
    job.rhs_stride = Int64(problem.key.rowStride * 4)
    job.dst = scores.assumingMemoryBound(to: Float.self)
    job.dst_stride = Int64(layout.scoresStride)
    job.alpha = problem.scale
    kernels.vectors.table.attention_products(&job)
  }

  /// All together where they see as much, else query by query, each as deep as it sees.
  private func multiplyByValuesInPlace(
    _ count: Int, _ kept: UnsafePointer<Int64>, _ weights: UnsafeMutableRawPointer,
    _ sums: AttentionSums, _ target: Int
  ) {
    let together = fewest == most ? count : 1
    let values = problem.value.row(task.batch, task.keyHead, firstKey)
    for i in stride(from: 0, to: count, by: together) {
      let lhs = UnsafeRawPointer(weights + i * layout.scoresStride)
      if row.lhs == .bfloat16, let lines = row.lines {
        multiply(
          lines, together, problem.valueWidth, Int(kept[i]), lhs, layout.scoresStride, values,
          lineStride: problem.value.rowStride * 4, into: sums.row(target + i), sums.stride * 4)
        continue
      }
      var job = mk_few_rows()
      job.m = Int64(together)
      job.n = Int64(problem.valueWidth)
      job.k = kept[i]
      job.lhs = lhs.assumingMemoryBound(to: Float.self)
      job.lhs_stride = Int64(layout.scoresStride)
      job.rhs = UnsafePointer(values)
      job.rhs_stride = Int64(problem.value.rowStride * 4)
      job.dst = sums.row(target + i)
      job.dst_stride = Int64(sums.stride * 4)
      kernels.vectors.table.attention_mixtures(&job)
    }
  }

  /// dst [m, n] = scale * lhs [m, k] @ rhs in one call, strides in bytes; rhs lies in panels, or where
  /// it is with `lineStride` between its lines (or columns, as the kernel says).
  private func multiply(
    _ kernel: GEMMRow.Stream, _ m: Int, _ n: Int, _ k: Int, _ lhs: UnsafeRawPointer,
    _ lhsStride: Int, _ rhs: UnsafeRawPointer, panelStride: Int = 0, lineStride: Int = 0,
    into dst: UnsafeMutableRawPointer, _ dstStride: Int, scale: Float = 1
  ) {
    var epilogue = mk_epilogue()
    epilogue.alpha = scale
    epilogue.beta = 1
    var job = mk_gemm_stream()
    job.m = Int64(m)
    job.n = Int64(n)
    job.k = Int64(k)
    job.lhs = lhs
    job.lhs_stride = Int64(lhsStride)
    job.rhs = rhs
    job.rhs_panel_stride = Int64(panelStride)
    job.rhs_line_stride = Int64(lineStride)
    job.dst = dst
    job.dst_stride = Int64(dstStride)
    withUnsafePointer(to: &epilogue) { epilogue in
      job.epilogue = epilogue
      kernel(&job)
    }
  }

  // MARK: - Tiles

  /// scores = scale * queries @ keys^T, for each tile as far as one of its queries sees.
  private func multiplyByKeys(
    _ strip: Range<Int>, _ kept: UnsafePointer<Int64>, _ deepest: Int,
    _ scores: UnsafeMutableRawPointer
  ) {
    let (lhs, lhsStride) = queries(strip)
    let panelStride = row.panelBytes(problem.width)
    let panels = scratch + layout.keys
    var epilogue = mk_epilogue()
    epilogue.alpha = problem.scale
    epilogue.beta = 1
    var tile = mk_gemm_tile()
    tile.k = Int64(problem.width)
    tile.lhs_stride = Int64(lhsStride)
    tile.acc_stride = Int64(layout.scoresStride)
    tile.dst_stride = Int64(layout.scoresStride)
    tile.flags = UInt32(MK_FIRST_K) | UInt32(MK_LAST_K)
    let height = CacheSets.level1.rows(atMost: row.mr, stride: lhsStride)
    let depths = tileDepths(strip.count, kept, atMost: height)
    withUnsafePointer(to: &epilogue) { epilogue in
      tile.epilogue = epilogue
      for j in stride(from: 0, to: deepest, by: row.nr) {
        tile.rhs = UnsafeRawPointer(panels + j / row.nr * panelStride)
        forEachTile(strip.count, atMost: height) { index, i, count in
          let depth = depths[index]
          guard depth > j else { return }
          tile.n = Int64(min(row.nr, depth - j))
          tile.m = Int64(count)
          tile.lhs = lhs + i * lhsStride
          let place = scores + (i * layout.scoresStride + j * 4)
          tile.acc = place.assumingMemoryBound(to: Float.self)
          tile.dst = place
          row.tile(&tile)
        }
      }
    }
  }

  /// sums = weights @ values. A tile runs as deep as one of its queries sees; where values that some
  /// of them do not see are not finite, every query goes alone.
  private func multiplyByValues(
    _ count: Int, _ kept: UnsafePointer<Int64>, _ weights: UnsafeMutableRawPointer,
    _ sums: AttentionSums, _ target: Int, _ separatesRows: Bool
  ) {
    let panelStride = row.panelBytes(most)
    let panels = scratch + layout.values
    var tile = mk_gemm_tile()
    tile.lhs_stride = Int64(layout.scoresStride)
    tile.acc_stride = Int64(sums.stride * 4)
    tile.dst_stride = Int64(sums.stride * 4)
    tile.flags = UInt32(MK_FIRST_K) | UInt32(MK_LAST_K)
    let height = separatesRows ? 1 : row.mr
    let depths = tileDepths(count, kept, atMost: height)
    for j in stride(from: 0, to: problem.valueWidth, by: row.nr) {
      tile.n = Int64(min(row.nr, problem.valueWidth - j))
      tile.rhs = UnsafeRawPointer(panels + j / row.nr * panelStride)
      forEachTile(count, atMost: height) { index, i, rows in
        tile.k = Int64(depths[index])
        tile.m = Int64(rows)
        tile.lhs = UnsafeRawPointer(weights + i * layout.scoresStride)
        tile.acc = sums.row(target + i) + j
        tile.dst = UnsafeMutableRawPointer(sums.row(target + i) + j)
        row.tile(&tile)
      }
    }
  }

  /// Per tile of a strip, the keys that one of its queries sees.
  private func tileDepths(
    _ rows: Int, _ kept: UnsafePointer<Int64>, atMost height: Int
  ) -> UnsafePointer<Int> {
    let depths = (scratch + layout.depths).assumingMemoryBound(to: Int.self)
    forEachTile(rows, atMost: height) { index, i, count in
      var depth: Int64 = 0
      for row in i..<i + count { depth = max(depth, kept[row]) }
      depths[index] = Int(depth)
    }
    return UnsafePointer(depths)
  }

  /// Calls `body` with the number, first row and height of each tile; rows are dealt evenly.
  @inline(__always)
  private func forEachTile(_ rows: Int, atMost height: Int, _ body: (Int, Int, Int) -> Void) {
    let tiles = (rows + height - 1) / height
    let (base, extra) = rows.quotientAndRemainder(dividingBy: max(tiles, 1))
    var i = 0
    for index in 0..<tiles {
      let count = index < extra ? base + 1 : base
      body(index, i, count)
      i += count
    }
  }
}
