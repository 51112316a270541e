import MartletCore
import MartletKernels

/// The right matrix of a product as tiles read it: panels packed before, or something that each
/// work item packs block by block into its own scratch.
enum RightOperand {
  /// Panels over the whole of K; column `firstColumn` (a multiple of nr) opens the first panel.
  case panels(UnsafeRawPointer, panelStride: Int, firstColumn: Int)
  /// Read where it lies: f32 rows of contiguous columns, strides in bytes.
  case rows(UnsafeRawPointer, rowStride: Int)
  /// Read where it lies: f32 columns that are contiguous along K, strides in bytes.
  case columns(UnsafeRawPointer, columnStride: Int)
  /// Strides in bytes; f32, or the row's own type.
  case strided(UnsafeRawPointer, kStride: Int, nStride: Int, isF32: Bool)
  /// The implicit im2col matrix of one image and group.
  case image(mk_pack_conv)

  init(_ view: MatrixView, row: GEMMRow) {
    let bytes = view.dtype.wholeByteCount
    self = .strided(
      view.pointer, kStride: view.rowStride * bytes, nStride: view.columnStride * bytes,
      isF32: view.dtype == .float32)
  }

  /// The same matrix `bytes` further in memory.
  func moved(by bytes: Int) -> RightOperand {
    switch self {
    case .image: self
    case .panels(let pointer, let panelStride, let firstColumn):
      .panels(pointer + bytes, panelStride: panelStride, firstColumn: firstColumn)
    case .rows(let pointer, let rowStride): .rows(pointer + bytes, rowStride: rowStride)
    case .columns(let pointer, let columnStride):
      .columns(pointer + bytes, columnStride: columnStride)
    case .strided(let pointer, let kStride, let nStride, let isF32):
      .strided(pointer + bytes, kStride: kStride, nStride: nStride, isF32: isF32)
    }
  }

  /// Scratch bytes that a block of `depth` by at most `columns` needs.
  func scratchBytes(depth: Int, columns: Int, row: GEMMRow) -> Int {
    switch self {
    case .panels, .columns: 0
    case .rows: row.panelBytes(depth) + 64  // a last item may have fewer columns than whole vectors
    case .strided, .image: row.panels(columns) * row.panelBytes(depth) + 64
    }
  }

  /// A block of rhs as kernels read it; strides in bytes.
  struct Block {
    var panels: UnsafeRawPointer
    var panelStride: Int
    /// Between lines of a panel; 0: packed.
    var lineStride = 0
    /// Columns from here on, to the end of the block, lie in a packed panel.
    var tail: (column: Int, panel: UnsafeRawPointer)?
    /// `lineStride` lies between columns instead, each contiguous along K.
    var isColumns = false
    /// The panel that is read after the last one.
    var following: UnsafeRawPointer?
  }

  /// Rows `p0..<p0 + depth` and columns from `j0`.
  func block(
    p0: Int, depth: Int, j0: Int, columns: Int, row: GEMMRow, scratch: UnsafeMutableRawPointer
  ) -> Block {
    let panelStride = row.panelBytes(depth)
    switch self {
    case .panels(let base, let wholeStride, _):
      return Block(panels: panel(p0: p0, j0: j0, row: row) ?? base, panelStride: wholeStride)
    case .rows(let pointer, let rowStride):
      var block = Block(
        panels: pointer + (p0 * rowStride + j0 * 4), panelStride: row.nr * 4,
        lineStride: rowStride)
      if columns % row.vector != 0 {
        // Kernels read whole vectors: the last panel is packed.
        let first = columns / row.nr * row.nr
        RightOperand.strided(pointer, kStride: rowStride, nStride: 4, isF32: true).pack(
          p0: p0, depth: depth, j0: j0 + first, columns: columns - first, row: row, into: scratch,
          panelStride: panelStride)
        block.tail = (first, UnsafeRawPointer(scratch))
      }
      return block
    case .columns(let pointer, let columnStride):
      return Block(
        panels: pointer + (p0 * 4 + j0 * columnStride), panelStride: 0, lineStride: columnStride,
        isColumns: true)
    case .strided, .image:
      pack(
        p0: p0, depth: depth, j0: j0, columns: columns, row: row, into: scratch,
        panelStride: panelStride)
    }
    return Block(panels: UnsafeRawPointer(scratch), panelStride: panelStride)
  }

  /// Where the panel of column `j0` and row `p0` begins; nil where there are no panels before a block
  /// is packed.
  func panel(p0: Int, j0: Int, row: GEMMRow) -> UnsafeRawPointer? {
    guard case .panels(let base, let stride, let firstColumn) = self else { return nil }
    return base + ((j0 - firstColumn) / row.nr * stride + p0 * row.nr * row.rhsBytes)
  }

  /// Packs a block of what is not in panels yet.
  func pack(
    p0: Int, depth: Int, j0: Int, columns: Int, row: GEMMRow, into target: UnsafeMutableRawPointer,
    panelStride: Int
  ) {
    switch self {
    case .panels, .rows, .columns: return
    case .strided(let pointer, let kStride, let nStride, let isF32):
      var job = mk_pack_rhs()
      job.k = Int64(depth)
      job.n = Int64(columns)
      job.src = pointer + (p0 * kStride + j0 * nStride)
      job.k_stride = Int64(kStride)
      job.n_stride = Int64(nStride)
      job.dst = target
      job.dst_panel_stride = Int64(panelStride)
      isF32 ? row.packF32(&job) : row.packSame(&job)
    case .image(var image):
      image.k0 = Int64(p0)
      image.k = Int64(depth)
      image.n0 = Int64(j0)
      image.n = Int64(columns)
      image.dst = target
      image.dst_panel_stride = Int64(panelStride)
      row.packConvolution(&image)
    }
  }
}
