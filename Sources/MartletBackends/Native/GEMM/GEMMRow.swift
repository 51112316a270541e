import MartletCore
import MartletKernels

/// One GEMM kernel family: its types, its tile and its functions.
///
/// @unchecked Sendable: constants of MartletKernels.
final class GEMMRow: KernelFamily, @unchecked Sendable {
  typealias Pack = @convention(c) (UnsafePointer<mk_pack_rhs>?) -> Void
  typealias Stream = @convention(c) (UnsafePointer<mk_gemm_stream>?) -> Void

  let name: String
  let isa: String
  let dst: DType
  let lhs: DType
  let rhs: DType
  /// The arithmetic of a sum, MK_SUMS_*: rows of the same types and arithmetic give the same bits.
  let arithmetic: Int32
  let layout: PanelLayout
  let mr: Int
  let nr: Int
  let kr: Int
  let streamMR: Int
  /// Rows that `columns` takes at most.
  let columnsMR: Int
  /// Columns that an rhs read in place comes in multiples of; 0: packed rhs only.
  let vector: Int
  /// Rows of a tile of at most `vector` columns; 0: no more than of any other.
  let tallMR: Int
  /// Columns of which `small` suits any number of rows.
  let fewColumns: Int
  /// The same behind one whole vector of columns.
  let fewBehind: Int
  /// How products are cut by default; see mk_gemm_blocks.
  let blocks: Blocks
  let tile: @convention(c) (UnsafePointer<mk_gemm_tile>?) -> Void
  let stream: Stream?
  /// Streams an f32 rhs in place whose K is contiguous; nil but for f32 and bf16 units.
  let columns: Stream?
  /// Rounds an f32 rhs in place whose columns are contiguous, for `columnsMR` rows; nil but for bf16
  /// units.
  let lines: Stream?
  /// All of a small product: in place, or on panels; bf16 rows have it for panels alone, or not.
  let small: Stream?
  /// K of a small product up to which `small` rounds an f32 lhs itself; 0: it does not.
  let smallK: Int
  let packF32: Pack
  let packSame: Pack
  let packConvolution: @convention(c) (UnsafePointer<mk_pack_conv>?) -> Void
  /// Rounds f32 to bf16 for an lhs of this row alone; nil where `f32_to_bf16` does.
  let round: (@convention(c) (Int64, UnsafePointer<Float>?, UnsafeMutablePointer<UInt16>?) -> Void)?
  let begin: (@convention(c) () -> Void)?
  let end: (@convention(c) () -> Void)?
  /// Convolution without an im2col matrix; nil but for f32.
  let convolution: mk_conv_kernels?
  /// The same on bf16 units; nil without them.
  let dotConvolution: mk_conv_dot_kernels?

  /// Nil for a row that cannot be driven on its own.
  init?(_ row: mk_gemm_row, isa: String) {
    guard let dst = DType(rawValue: row.dst), let lhs = DType(rawValue: row.lhs),
      let rhs = DType(rawValue: row.rhs), let tile = row.tile, let packF32 = row.pack_rhs_f32,
      let packSame = row.pack_rhs_same, let packConvolution = row.pack_conv,
      row.mr > 0, row.nr > 0, row.kr > 0
    else { return nil }
    name = String(cString: row.name)
    self.isa = isa
    arithmetic = row.arithmetic
    layout = PanelLayout(dtype: rhs, kr: Int(row.kr), nr: Int(row.nr))
    begin = row.begin
    end = row.end
    self.dst = dst
    self.lhs = lhs
    self.rhs = rhs
    mr = Int(row.mr)
    nr = Int(row.nr)
    kr = Int(row.kr)
    streamMR = row.stream == nil ? 0 : Int(row.stream_mr)
    blocks = Blocks(row.blocks, mr: mr, nr: nr, kr: kr)
    self.tile = tile
    stream = row.stream
    columns = row.columns
    lines = row.lines
    small = row.small
    smallK = row.small == nil ? 0 : Int(row.small_k)
    columnsMR = row.columns == nil ? 0 : Int(row.columns_mr)
    vector = Int(row.vector)
    tallMR = Int(row.tall_mr)
    fewColumns = row.small == nil ? 0 : Int(row.few_columns)
    fewBehind = row.small == nil ? 0 : Int(row.few_behind)
    self.packF32 = packF32
    self.packSame = packSame
    self.packConvolution = packConvolution
    round = row.round
    rate = max(Int(row.rate), 1)
    convolution = row.conv?.pointee
    dotConvolution = row.conv_dot?.pointee
  }

  /// Multiply-adds of one thread in a nanosecond, about.
  let rate: Int

  var kc: Int { blocks.kc }
  var mc: Int { blocks.mc }

  /// The numbers of mk_gemm_blocks, none too small to run with.
  struct Blocks {
    let kc: Int
    let mc: Int
    let packingKC: Int
    let packingMC: Int
    let columns: Int
    let copyingColumns: Int
    let copyingRows: Int

    init(_ blocks: mk_gemm_blocks, mr: Int, nr: Int, kr: Int) {
      kc = max(Int(blocks.kc), kr)
      mc = max(Int(blocks.mc), mr)
      packingKC = max(Int(blocks.packing_kc), kr)
      packingMC = max(Int(blocks.packing_mc), mr)
      columns = max(Int(blocks.columns), nr)
      copyingColumns = max(Int(blocks.copying_columns), nr)
      copyingRows = Int(blocks.copying_rows)
    }
  }

  /// Whether both multiply the same types.
  func multiplies(as other: GEMMRow) -> Bool {
    dst == other.dst && lhs == other.lhs && rhs == other.rhs
  }

  var rhsBytes: Int { rhs.wholeByteCount }
  var lhsBytes: Int { lhs.wholeByteCount }
  var sumsColumns: Bool { false }
}
