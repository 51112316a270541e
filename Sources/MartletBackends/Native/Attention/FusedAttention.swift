import MartletCore
import MartletKernels

/// Attention without the score matrix: strips of queries against blocks of keys.
///
/// Every query's keys are cut into blocks of `keyBlock` counted from the first key. A block's scores
/// become weights against the block's own maximum, and weights times values are one chain over the
/// block; blocks are united in ascending order. Nothing of this depends on other queries, on the
/// batch, on threads, or on how many hidden keys follow; neither do a result's bits.
struct FusedAttention {
  /// Keys of a block; part of the definition of the result's bits.
  static let keyBlock = 256
  /// Queries whose scores are at hand at a time: with `keyBlock` they fill half of L2's quarter.
  private static let stripRows = 48
  /// Queries that one task takes at most: their sums stay in cache from one block to the next.
  private static let mostRows = 768
  /// Most bytes of unfinished blocks that are kept to let threads share one task's keys.
  private static let sharedBytes = 8 << 20

  let problem: AttentionProblem
  let kernels: KernelSet
  let row: GEMMRow
  let execution: Execution

  /// Whether keys and values are read as they lie: packing pays from a few queries on.
  let readsInPlace: Bool
  private static let fewRows = 4

  /// Rows of a task count query heads of one key head one after another.
  private let groupRows: Int
  private let taskRows: Int
  private let rowBlocks: Int
  private let blocks: Int
  private let isParallel: Bool

  init(
    _ problem: AttentionProblem, _ kernels: KernelSet, threads: Int
  ) throws(MartletError) {
    self.problem = problem
    self.kernels = kernels
    let (usesBF16, reason) = kernels.precision(for: problem.mode)
    let type: DType = usesBF16 ? .bfloat16 : .float32
    guard let row = kernels.row(dst: .float32, lhs: type, rhs: type) else {
      throw MartletError(.internalError, "no GEMM kernel multiplies \(type)")
    }
    self.row = row
    execution = Execution(
      backend: "native", kernel: "attention on \(row.name)",
      precision: usesBF16 ? "bf16" : "fp32", reason: reason)
    let isEmpty = [problem.batch, problem.queryHeads, problem.queries].contains(0)
    groupRows = isEmpty ? 0 : problem.group * problem.queries
    blocks = (problem.keys + FusedAttention.keyBlock - 1) / FusedAttention.keyBlock
    let mayReadInPlace =
      type == .float32 || (row.lines != nil && row.columnsMR >= FusedAttention.fewRows)
    readsInPlace =
      groupRows <= FusedAttention.fewRows && mayReadInPlace
      && (problem.key.columnStride == 1 || problem.width <= 1)
      && (problem.value.columnStride == 1 || problem.valueWidth <= 1)
    let heads = isEmpty ? 0 : problem.batch * problem.keyHeads
    let work =
      Double(heads) * Double(groupRows) * Double(problem.keys)
      * Double(problem.width + problem.valueWidth)
    isParallel = threads > 1 && work >= Double(GEMMPlan.serialWork)
    // Each task packs its keys and values: few rows are not worth that.
    var rows = min(max(groupRows, 1), FusedAttention.mostRows)
    if isParallel {
      while heads * ((groupRows + rows - 1) / rows) < threads * 3,
        rows > 2 * FusedAttention.stripRows
      {
        rows = (rows + 1) / 2
      }
    }
    taskRows = rows
    rowBlocks = (groupRows + rows - 1) / rows
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let tasks = problem.batch * problem.keyHeads * rowBlocks
    // Checked: the widths may come from views with zero strides.
    _ = try Shape.byteCount(
      [problem.width + problem.valueWidth + 64, 2 * FusedAttention.mostRows], .float32)
    let sharedBytes = Double(tasks) * Double(blocks) * Double(stateBytes(taskRows))
    let sharesKeys =
      isParallel && tasks < pool.threadCount && blocks > 1
      && sharedBytes <= Double(FusedAttention.sharedBytes)
    let hasMemory =
      sharesKeys ? runSharingKeys(tasks, pool) : runTasks(tasks, pool)
    guard hasMemory else {
      throw MartletError(.outOfMemory, "attention: no memory for packing keys and values")
    }
    return execution
  }

  // MARK: - Tasks

  /// One task's rows of one key head of one batch entry.
  struct Task {
    let batch: Int
    let keyHead: Int
    /// Query head h of the group and query i are row h * queries + i.
    let rows: Range<Int>
  }

  private func task(_ index: Int) -> Task {
    let (head, block) = index.quotientAndRemainder(dividingBy: rowBlocks)
    let (batch, keyHead) = head.quotientAndRemainder(dividingBy: problem.keyHeads)
    let first = block * taskRows
    return Task(batch: batch, keyHead: keyHead, rows: first..<min(first + taskRows, groupRows))
  }

  /// A thread takes a task with all its keys. False: no memory.
  private func runTasks(_ tasks: Int, _ pool: ThreadPool) -> Bool {
    let layout = ScratchLayout(self, sumRows: blocks == 1 ? 0 : taskRows)
    return WorkItems.run(
      tasks, isParallel: isParallel, on: pool, scratchBytes: layout.byteCount
    ) { index, scratch in
      let task = task(index)
      if blocks == 1 { return AttentionBlock(self, task, 0, scratch, layout).runAlone() }
      let sums = AttentionSums(scratch + layout.sums, rows: taskRows, width: problem.valueWidth)
      if blocks == 0 {
        // Zero over one.
        sums.clear(0..<task.rows.count)
        sums.sum.update(repeating: 1, count: task.rows.count)
      }
      for block in 0..<blocks {
        AttentionBlock(self, task, block, scratch, layout).run(into: sums, isFirst: block == 0)
      }
      finish(task, task.rows, sums)
    }
  }

  /// Threads take blocks of keys; the blocks are then united in the order of the other way.
  private func runSharingKeys(_ tasks: Int, _ pool: ThreadPool) -> Bool {
    let layout = ScratchLayout(self, sumRows: 0)
    let bytes = stateBytes(taskRows)
    var isRunning = false
    let hasMemory = ThreadScratch.withBytes(tasks * blocks * bytes, .shared) { shared in
      func sums(_ task: Int, _ block: Int) -> AttentionSums {
        AttentionSums(
          shared + (task * blocks + block) * bytes, rows: taskRows, width: problem.valueWidth)
      }
      isRunning = WorkItems.run(
        tasks * blocks, isParallel: true, on: pool, scratchBytes: layout.byteCount
      ) { index, scratch in
        let (taskIndex, block) = index.quotientAndRemainder(dividingBy: blocks)
        AttentionBlock(self, task(taskIndex), block, scratch, layout)
          .run(into: sums(taskIndex, block), isFirst: true)
      }
      for index in 0..<tasks {
        let task = task(index)
        let whole = sums(index, 0)
        for block in 1..<blocks {
          whole.unite(sums(index, block), rows: 0..<task.rows.count, kernels)
        }
        finish(task, task.rows, whole)
      }
    }
    return hasMemory && isRunning
  }

  private func stateBytes(_ rows: Int) -> Int {
    AttentionSums.byteCount(rows: rows, width: problem.valueWidth)
  }

  /// The sums of some of the task's rows over the weights' sum, into dst.
  func finish(_ task: Task, _ rows: Range<Int>, _ sums: AttentionSums) {
    var r = rows.lowerBound
    while r < rows.upperBound {
      let (head, i) = r.quotientAndRemainder(dividingBy: problem.queries)
      let count = min(problem.queries - i, rows.upperBound - r)
      let index = r - rows.lowerBound
      let dst = problem.dst.row(task.batch, task.keyHead * problem.group + head, i)
      kernels.vectors.table.attention_finish(
        Int64(count), Int64(problem.valueWidth), sums.row(index), Int64(sums.stride * 4),
        sums.sum + index, dst, Int64(problem.dst.rowStride * 4))
      for row in 0..<count where !(sums.sum[index + row] > 0) {
        guard
          isZero(task.batch, task.keyHead * problem.group + head, i + row, sums.sum[index + row])
        else { continue }
        (dst + row * problem.dst.rowStride).update(repeating: 0, count: problem.valueWidth)
      }
      r += count
    }
  }

  /// Whether a query whose weights sum up to `sum`, zero or NaN, gives zero.
  private func isZero(_ batch: Int, _ head: Int, _ query: Int, _ sum: Float) -> Bool {
    switch problem.empty {
    case .zero:
      // An added -Inf makes NaN of a score that is NaN or Inf.
      return sum == 0
        || problem.mask?.hides(problem.window(batch, query), batch, head, query) ?? false
    case .nan: return false
    case .alwaysZero: return true
    }
  }

  // MARK: - Scratch

  /// Where a thread's working memory holds what, in bytes.
  struct ScratchLayout {
    /// Rows of a strip, and bytes between the rows of its scores.
    let stripRows: Int
    let scoresStride: Int
    let lhsStride: Int
    let keys = 0
    let values: Int
    let scores: Int
    let lhs: Int
    let kept: Int
    let hidden: Int
    /// Per tile of a strip.
    let depths: Int
    let masks: Int
    let partial: Int
    let sums: Int
    let byteCount: Int

    init(_ attention: FusedAttention, sumRows: Int) {
      let row = attention.row
      let problem = attention.problem
      let block = min(FusedAttention.keyBlock, max(problem.keys, 1))
      func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
      stripRows = min(max(FusedAttention.stripRows / row.mr, 1) * row.mr, attention.taskRows)
      scoresStride = CacheSets.spread(block * 4)
      lhsStride = CacheSets.spread(max(problem.width, 1) * row.lhsBytes)
      values = aligned(row.panels(block) * row.panelBytes(problem.width))
      scores = values + aligned(row.panels(problem.valueWidth) * row.panelBytes(block))
      lhs = scores + stripRows * scoresStride
      kept = lhs + stripRows * lhsStride
      hidden = kept + aligned(stripRows * 8)
      depths = hidden + aligned(stripRows * 8)
      masks = depths + aligned(stripRows * 8)
      partial = masks + aligned(stripRows * 8)
      sums =
        partial + AttentionSums.byteCount(rows: stripRows, width: problem.valueWidth)
      byteCount = sums + AttentionSums.byteCount(rows: sumRows, width: problem.valueWidth)
    }
  }
}

extension NativeBackend {
  func attend(
    _ problem: AttentionProblem, pool: ThreadPool
  ) throws(MartletError) -> Execution {
    try problem.validate()
    let attention = try FusedAttention(problem, kernels, threads: pool.threadCount)
    // Nothing to write: then the other extents may be of any size.
    let isEmpty = [problem.batch, problem.queryHeads, problem.queries, problem.valueWidth]
      .contains(0)
    return isEmpty ? attention.execution : try attention.run(on: pool)
  }
}

/// What some queries' keys came to so far: values weighed by e^(score - maximum), the maximum and the
/// weights' sum of each query, in somebody's memory.
struct AttentionSums {
  let values: UnsafeMutablePointer<Float>
  let max: UnsafeMutablePointer<Float>
  let sum: UnsafeMutablePointer<Float>
  /// Values of a row, and elements between rows.
  let width: Int
  let stride: Int

  private static func stride(_ width: Int) -> Int { (width + 15) / 16 * 16 }

  static func byteCount(rows: Int, width: Int) -> Int {
    (rows * (stride(width) + 2) * 4 + 63) / 64 * 64
  }

  init(_ memory: UnsafeMutableRawPointer, rows: Int, width: Int) {
    self.width = width
    stride = AttentionSums.stride(width)
    values = memory.assumingMemoryBound(to: Float.self)
    max = values + rows * stride
    sum = max + rows
  }

  func row(_ index: Int) -> UnsafeMutablePointer<Float> { values + index * stride }

  /// The sums of no keys at all.
  func clear(_ rows: Range<Int>) {
    for index in rows {
      row(index).update(repeating: 0, count: width)
      max[index] = -.infinity
      sum[index] = 0
    }
  }

  /// Adds what the keys after these came to; row i of `block` belongs to row `rows.lowerBound + i`.
  func unite(_ block: AttentionSums, rows: Range<Int>, _ kernels: KernelSet) {
    var union = mk_attention_union()
    union.rows = Int64(rows.count)
    union.width = Int64(width)
    union.sums = row(rows.lowerBound)
    union.sums_stride = Int64(stride * 4)
    union.max = max + rows.lowerBound
    union.sum = sum + rows.lowerBound
    union.block = UnsafePointer(block.values)
    union.block_stride = Int64(block.stride * 4)
    union.block_max = UnsafePointer(block.max)
    union.block_sum = UnsafePointer(block.sum)
    kernels.vectors.table.attention_merge(&union)
  }
}
