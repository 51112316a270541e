import MartletCore

/// How one product is cut into work items and cache blocks. Nothing here changes a result's bits.
struct GEMMPlan: Equatable {
  /// K block and lhs rows that the tile loop keeps in cache.
  var kc: Int
  var mc: Int
  /// Rows and columns of one work item; itemColumns is a multiple of nr.
  var itemRows: Int
  var itemColumns: Int
  /// Whether the work is worth more than one thread.
  var isParallel: Bool
  /// Rows of a tile at most.
  var tileRows: Int
  /// Whether items go through the row's stream kernels.
  var streams = false

  /// Multiply-adds below which a second thread costs more than it brings (64^3), at `serialRate` in a
  /// nanosecond; the others of an item in proportion to the row's rate.
  static let serialWork = 262_144
  private static let serialRate = 40
  /// The same where rhs is packed within the call (80^3 and 200 x 200 x 16 that had to wake the
  /// worker were slower on two threads than on one, AVX2).
  static let serialWorkWhenPacking = 3 * serialWork
  /// Bytes of rhs that an item packs for itself at most: they stay in L2.
  private static let packedBlockBytes = 256 << 10
  /// Columns below which an item that packs rhs is not divided further.
  static let narrowColumns = 48
  /// Most elements of an item that keeps its sums in scratch.
  private static let stagedElements = 1 << 17

  struct Request {
    var m: Int
    var n: Int
    var k: Int
    var matrices: Int
    var threads: Int
    /// lhs is copied by each item that uses it.
    var copiesLHS: Bool
    /// Bytes between its rows where they are read in place; 0 where they are copied.
    var lhsStride = 0
    /// rhs is packed by each item that uses it.
    var packsRHS: Bool
    var isStaged: Bool
    /// All rows go through the row's stream kernels.
    var streams = false
    /// rhs is read where it lies, its rows contiguous.
    var readsRows = false
    /// Those rows lie a multiple of 4 KiB apart, so that their lines share cache sets.
    var sharesSets = false
    /// rhs is packed within the call, by whomever.
    var packsWithin = false
  }

  /// Bytes of rhs up to which a stream reads it in place in one go; beyond, 64 rows of it at a time,
  /// side by side (1.3 to 5 times as fast for 2 to 8 rows at 4096 x 4096, AVX2).
  private static let wholeRHSBytes = 256 << 10
  private static let streamedRows = 64
  /// The same for one or two rows on an rhs whose rows share cache sets: a line of each fits (1.4 and
  /// 1.6 times as fast at 4096 x 4096, AVX2; with 4 rows the sums cost what the lines bring).
  private static let streamedRowsSharingSets = 8
  /// Bytes of rhs that a streaming item should not go below.
  private static let smallestStream = 128 << 10
  /// The same of each row of an rhs that is read in place: shorter runs leave the processor's own
  /// fetching ahead no time (4096 x 4096 by one row on two threads was 1.5 times as fast with runs of
  /// 8 KiB as with 2 KiB, AVX2).
  private static let smallestRun = 4 << 10

  /// How many times the work of `serialRate` the row does in the same time.
  static func pace(_ row: GEMMRow) -> Double { Double(row.rate) / Double(serialRate) }

  init(_ request: Request, row: GEMMRow) {
    let work = Double(request.m) * Double(request.n) * Double(request.k)
    let pace = GEMMPlan.pace(row)
    let serialWork =
      pace
      * Double(request.packsWithin ? GEMMPlan.serialWorkWhenPacking : GEMMPlan.serialWork)
    isParallel = request.threads > 1 && work * Double(request.matrices) >= serialWork

    tileRows =
      request.lhsStride == 0
      ? row.mr : CacheSets.level1.rows(atMost: row.mr, stride: request.lhsStride)
    if request.streams {
      streams = true
      kc = GEMMPlan.rounded(max(request.k, 1), row.kr)
      if request.readsRows, request.k * request.n * row.rhsBytes > GEMMPlan.wholeRHSBytes {
        let isTight = request.sharesSets && request.m <= 2
        kc = min(kc, isTight ? GEMMPlan.streamedRowsSharingSets : GEMMPlan.streamedRows)
      }
      mc = max(request.m, 1)
      itemRows = mc
      itemColumns = max(GEMMPlan.rounded(request.n, row.nr), row.nr)
      if isParallel {
        let shares = request.threads * (request.readsRows ? 1 : 4)
        let share = (request.n + shares - 1) / shares
        let smallest =
          request.readsRows
          ? GEMMPlan.smallestRun / row.rhsBytes
          : GEMMPlan.smallestStream / max(request.k * row.rhsBytes, 1)
        itemColumns = min(itemColumns, max(GEMMPlan.rounded(max(share, smallest), row.nr), row.nr))
      }
      return
    }
    let blocks = row.blocks
    let deep = request.packsRHS ? blocks.packingKC : blocks.kc
    let high = request.packsRHS ? blocks.packingMC : blocks.mc
    kc = GEMMPlan.evenBlock(request.k, most: deep + deep / 2, preferred: deep, step: row.kr)
    mc = GEMMPlan.evenBlock(request.m, most: high, step: row.mr)

    // An item that packs rhs takes all rows, for packing it once.
    var rows = request.packsRHS ? request.m : mc
    var columns = request.n
    let columnsAtMost =
      request.packsRHS
      ? max(row.nr, GEMMPlan.packedBlockBytes / (kc * row.rhsBytes))
      : request.copiesLHS ? blocks.copyingColumns : blocks.columns
    columns = GEMMPlan.evenBlock(request.n, most: columnsAtMost, step: row.nr)
    if request.isStaged {
      rows = min(rows, mc)
      let most = max(row.nr, GEMMPlan.stagedElements / max(rows, 1))
      columns = min(columns, GEMMPlan.evenBlock(request.n, most: most, step: row.nr))
    }

    if isParallel {
      // Enough items for the threads to share evenly, none of them too small to be worth a claim.
      func count(_ rows: Int, _ columns: Int) -> Int {
        request.matrices * ((request.m + rows - 1) / rows)
          * ((request.n + columns - 1) / columns)
      }
      let wanted = request.threads * 4
      let smallest = pace * Double(GEMMPlan.serialWork / 2)
      func isEven(_ count: Int) -> Bool {
        let turns = (count + request.threads - 1) / request.threads
        return (turns * request.threads - count) * 25 <= count
      }
      while count(rows, columns) < wanted || !isEven(count(rows, columns)),
        Double(rows) * Double(columns) * Double(request.k) >= 2 * smallest
      {
        let halfRows = GEMMPlan.rounded((rows + 1) / 2, row.mr)
        var halfColumns = GEMMPlan.rounded((columns + 1) / 2, row.nr)
        // Items that pack for themselves stay wide enough to reuse what they read of lhs.
        if request.packsRHS, halfColumns < GEMMPlan.narrowColumns { halfColumns = columns }
        // What each item does again for itself should not be divided.
        let splitsRows: Bool =
          if request.packsRHS {
            false
          } else if request.copiesLHS {
            halfRows < rows && rows > blocks.copyingRows
          } else {
            halfRows < rows && rows >= 2 * columns
          }
        if splitsRows {
          rows = halfRows
        } else if halfColumns < columns {
          columns = halfColumns
        } else if halfRows < rows {
          rows = halfRows
        } else {
          break
        }
      }
    }
    itemRows = max(rows, 1)
    itemColumns = max(columns, row.nr)
    mc = min(mc, GEMMPlan.rounded(itemRows, row.mr))
  }

  /// The plan with the blocks of `choice`, as far as they suit the row and the problem.
  func with(_ choice: GEMMChoice, for request: Request, row: GEMMRow) -> GEMMPlan {
    var plan = self
    plan.itemColumns = GEMMPlan.rounded(min(max(choice.columns, 1), max(request.n, 1)), row.nr)
    plan.tileRows = min(max(choice.tileRows, 1), row.mr)
    // The columns kernel takes all of K.
    if !streams || request.readsRows {
      plan.kc = GEMMPlan.rounded(min(max(choice.kc, 1), max(request.k, 1)), row.kr)
    }
    guard !streams else { return plan }
    plan.mc = min(max(choice.mc, 1), max(request.m, 1))
    plan.itemRows = min(max(choice.rows, 1), max(request.m, 1))
    if request.isStaged {
      plan.itemRows = min(plan.itemRows, row.mc)
      plan.itemColumns = min(
        plan.itemColumns,
        max(row.nr, GEMMPlan.stagedElements / max(plan.itemRows, 1) / row.nr * row.nr))
    }
    return plan
  }

  /// Blocks of one extent, as even as multiples of `step` allow: one up to `most`, else of `preferred`
  /// (`most` unless given) at most.
  static func evenBlock(_ extent: Int, most: Int, preferred: Int? = nil, step: Int) -> Int {
    guard extent > most else { return rounded(max(extent, 1), step) }
    let preferred = preferred ?? most
    let blocks = (extent + preferred - 1) / preferred
    return rounded((extent + blocks - 1) / blocks, step)
  }

  private static func rounded(_ value: Int, _ step: Int) -> Int {
    (value + step - 1) / step * step
  }
}

extension FloatLoop {
  /// Runs the loop, cut by `plan`, over `rows` × `columns` of `matrices` matrices, to each of which
  /// `moved` moves it. False: no memory for scratch.
  func run(
    _ plan: GEMMPlan, rows: Int, columns: Range<Int>, matrices: Int, on pool: ThreadPool,
    moved: (FloatLoop, Int) -> FloatLoop
  ) -> Bool {
    var loop = self
    loop.kc = plan.kc
    loop.mc = plan.mc
    loop.tileRows = plan.tileRows
    loop.streams = plan.streams
    // One K block needs no partial sums anywhere.
    if k <= plan.kc { loop.staging.sumsInScratch = false }
    return WorkItems(
      rows: rows, columns: columns, matrices: matrices, itemRows: plan.itemRows,
      itemColumns: plan.itemColumns, isParallel: plan.isParallel
    ).run(loop, on: pool, moved: moved)
  }
}
