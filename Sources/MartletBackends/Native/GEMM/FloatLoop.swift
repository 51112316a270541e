import MartletCore
import MartletKernels

/// Products of f32 and bf16: sums in f32, kept in dst between K blocks where they fit there, and an
/// epilogue of which the tile does what it can and `finish` the rest.
struct FloatLoop: PanelLoop {
  /// Not counted: the backend holds them longer than any product runs.
  unowned(unsafe) let row: GEMMRow
  unowned(unsafe) let kernels: KernelSet
  var k: Int
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

  /// Pointers into matrices are those of the item's first element.
  struct Item: PanelItem {
    let rows: Range<Int>
    let columns: Range<Int>
    let scratch: ScratchPlaces
    let lhs: UnsafeMutableRawPointer
    let rhs: UnsafeMutableRawPointer
    let dst: UnsafeMutableRawPointer
    let epilogue: mk_epilogue
    let sums: UnsafeMutableRawPointer
    let sumsStride: Int
    let result: UnsafeMutableRawPointer
    let resultStride: Int

    init(_ loop: FloatLoop, rows: Range<Int>, columns: Range<Int>, scratch: ScratchPlaces) {
      (self.rows, self.columns) = (rows, columns)
      var scratch = scratch
      let (row, depth) = (loop.row, min(loop.kc, max(loop.k, 1)))
      rhs = scratch.take(
        loop.rhs.scratchBytes(depth: depth, columns: columns.count, row: row))
      lhs = scratch.take(
        loop.lhs.scratchBytes(rows: min(rows.count, loop.mc), depth: depth, row: row))
      let (staging, stripStride) = (loop.staging, columns.count * 4)
      let strip = scratch.take(staging.isNeeded ? rows.count * stripStride : 0)
      dst =
        loop.dst
        + (rows.lowerBound * loop.dstStride + columns.lowerBound * loop.dstElementBytes)
      sums = staging.isNeeded ? strip : dst
      sumsStride = staging.isNeeded ? stripStride : loop.dstStride
      result = staging.resultInScratch ? strip : dst
      resultStride = staging.resultInScratch ? stripStride : loop.dstStride
      var epilogue = loop.epilogue.tile
      if let bias = epilogue.bias_n { epilogue.bias_n = bias + columns.lowerBound }
      if let bias = epilogue.bias_m { epilogue.bias_m = bias + rows.lowerBound }
      if loop.gatheredResidual != nil {
        epilogue.residual = UnsafePointer(
          scratch.take(rows.count * stripStride).assumingMemoryBound(to: Float.self))
        epilogue.residual_stride = Int64(stripStride)
      } else if let residual = epilogue.residual {
        epilogue.residual =
          (UnsafeRawPointer(residual)
          + (rows.lowerBound * Int(epilogue.residual_stride) + columns.lowerBound * 4))
          .assumingMemoryBound(to: Float.self)
      }
      (self.epilogue, self.scratch) = (epilogue, scratch)
    }
  }

  /// Gathers the residual that tiles cannot read in place.
  func begin(_ item: Item) {
    guard let gatheredResidual, let target = item.epilogue.residual else { return }
    let values = UnsafeMutablePointer(mutating: target)
    var next = 0
    for i in item.rows {
      let row = gatheredResidual.pointer + i * gatheredResidual.rowStride
      for j in item.columns {
        values[next] = row.load(fromByteOffset: j * gatheredResidual.columnStride, as: Float.self)
        next += 1
      }
    }
  }

  func rhsBlock(_ depth: Range<Int>, of item: Item) -> RightOperand.Block {
    rhs.block(depth, item.columns, row: row, scratch: item.rhs)
  }

  func lhsBlock(_ block: ProductBlock, of item: Item) -> LeftBlock {
    lhs.block(
      i0: item.rows.lowerBound + block.rows.lowerBound, rows: block.rows.count,
      p0: block.depth.lowerBound, depth: block.depth.count, row: row, kernels: kernels,
      scratch: item.lhs)
  }

  /// The strip's activation, and its way into a dst that is not f32.
  func finish(_ rows: Range<Int>, of item: Item) {
    guard let strip = epilogue.strip else { return }
    let count = Int64(item.columns.count)
    for i in rows {
      let values = (item.result + i * item.resultStride).assumingMemoryBound(to: Float.self)
      strip.function(count, values, values, strip.a, strip.b)
      if staging.resultInScratch {
        kernels.vectors.table.f32_to_bf16(
          count, values, (item.dst + i * dstStride).assumingMemoryBound(to: UInt16.self))
      }
    }
  }
}
