import MartletCore
import MartletKernels

/// The kernels of one instruction set together with what it inherits from those before it.
///
/// A class, so that the structs on a product's way hold one reference to it.
///
/// @unchecked Sendable: constants of MartletKernels.
final class KernelSet: @unchecked Sendable {
  let name: String
  /// One row per combination of dtypes, the best.
  let rows: [GEMMRow]
  /// The row of f32 alone, and that of bf16 into f32.
  let float32: GEMMRow?
  let bfloat16: GEMMRow?
  /// Those of the most capable instruction set: every table is whole.
  let vectors: VectorKernels
  /// Why products of float32 are never rounded to bf16 here; empty where they may be.
  let noBF16Reason: String

  /// The units' own limits, see `HardwarePeak`; nil where there is no such unit.
  let peakFloat32: (@convention(c) (Int64) -> Int64)?
  let peakBFloat16: (@convention(c) (Int64) -> Int64)?
  let peakInt8: (@convention(c) (Int64) -> Int64)?
  /// The kernels of integer products and of quantising; nil only where a table lacks them.
  let integer: IntegerRow?

  /// The kernels this process runs.
  static var current: KernelSet { ISASelection.current.kernels }

  /// `chain` runs from the most portable to the most capable.
  init(chain: [UnsafePointer<mk_isa>], name: String, noBF16Reason: String) {
    self.name = name
    self.noBF16Reason = noBF16Reason
    peakFloat32 = chain.last { $0.pointee.peak_f32 != nil }?.pointee.peak_f32
    peakBFloat16 =
      noBF16Reason.isEmpty
      ? chain.last { $0.pointee.peak_bf16 != nil }?.pointee.peak_bf16 : nil
    let last = chain.last { $0.pointee.int8_row != nil }?.pointee
    peakInt8 = last?.peak_int8
    integer = last?.int8_row.flatMap { IntegerRow($0.pointee) }
    var rows: [GEMMRow] = []
    for isa in chain {
      for index in 0..<Int(isa.pointee.gemm_row_count) {
        guard let row = GEMMRow(isa.pointee.gemm_rows[index]) else { continue }
        rows.removeAll { $0.dst == row.dst && $0.lhs == row.lhs && $0.rhs == row.rhs }
        rows.append(row)
      }
    }
    self.rows = rows
    float32 = rows.first { $0.dst == .float32 && $0.lhs == .float32 && $0.rhs == .float32 }
    bfloat16 = rows.first { $0.dst == .float32 && $0.lhs == .bfloat16 && $0.rhs == .bfloat16 }
    vectors = VectorKernels(chain.last?.pointee.vectors.pointee ?? mk_vectors_generic)
  }

  /// The row that multiplies these types, or nil.
  func row(dst: DType, lhs: DType, rhs: DType) -> GEMMRow? {
    rows.first { $0.dst == dst && $0.lhs == lhs && $0.rhs == rhs }
  }

  /// Whether float32 products run in bf16 under `mode`, and if not though asked, why.
  func precision(for mode: MathMode) -> (usesBF16: Bool, reason: String) {
    switch mode {
    case .fp32: (false, "")
    case .bf16, .any: (noBF16Reason.isEmpty, noBF16Reason)
    case .tf32, .f16: (false, "\(mode) permits nothing on this processor")
    }
  }
}

/// One GEMM kernel family: its types, its tile and its functions.
///
/// @unchecked Sendable: constants of MartletKernels.
final class GEMMRow: @unchecked Sendable {
  typealias Pack = @convention(c) (UnsafePointer<mk_pack_rhs>?) -> Void
  typealias Stream = @convention(c) (UnsafePointer<mk_gemm_stream>?) -> Void

  let name: String
  let dst: DType
  let lhs: DType
  let rhs: DType
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
  /// Convolution without an im2col matrix; nil but for f32.
  let convolution: mk_conv_kernels?
  /// The same on bf16 units; nil without them.
  let dotConvolution: mk_conv_dot_kernels?

  /// Nil for a row that cannot be driven on its own.
  init?(_ row: mk_gemm_row) {
    guard let dst = DType(rawValue: row.dst), let lhs = DType(rawValue: row.lhs),
      let rhs = DType(rawValue: row.rhs), let tile = row.tile, let packF32 = row.pack_rhs_f32,
      let packSame = row.pack_rhs_same, let packConvolution = row.pack_conv,
      row.mr > 0, row.nr > 0, row.kr > 0
    else { return nil }
    name = String(cString: row.name)
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

  /// Names the panel layout; rows of equal layout read each other's packed matrices.
  var layout: String { "\(rhs) \(kr)x\(nr)" }

  var rhsBytes: Int { rhs.wholeByteCount }
  var lhsBytes: Int { lhs.wholeByteCount }

  /// Panels that so many columns fill.
  func panels(_ columns: Int) -> Int { (columns + nr - 1) / nr }

  /// Bytes of one panel of `k` rows.
  func panelBytes(_ k: Int) -> Int { (k + kr - 1) / kr * kr * nr * rhsBytes }
}
