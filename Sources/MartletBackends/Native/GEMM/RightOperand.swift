import MartletCore
import MartletKernels

/// The right matrix of a product as tiles read it: panels packed before, or something that each
/// work item packs block by block into its own scratch.
enum RightOperand: PanelSource {
  case panels(PackedPanels)
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
    case .panels(let panels): .panels(panels.moved(by: bytes))
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
  }

  /// Rows `depth` and the columns of an item.
  func block(
    _ depth: Range<Int>, _ columns: Range<Int>, row: GEMMRow, scratch: UnsafeMutableRawPointer
  ) -> Block {
    switch self {
    case .panels(let panels):
      return Block(
        panels: UnsafeRawPointer(panels.panel(columns.lowerBound, p0: depth.lowerBound, row: row)),
        panelStride: panels.stride)
    case .rows(let pointer, let rowStride):
      var block = Block(
        panels: pointer + (depth.lowerBound * rowStride + columns.lowerBound * 4),
        panelStride: row.nr * 4, lineStride: rowStride)
      if columns.count % row.vector != 0 {
        // Kernels read whole vectors: the last panel is packed.
        let first = columns.count / row.nr * row.nr
        let last = columns.lowerBound + first..<columns.upperBound
        RightOperand.strided(pointer, kStride: rowStride, nStride: 4, isF32: true).pack(
          depth, last, row: row,
          into: PackedPanels(base: scratch, stride: 0, firstColumn: last.lowerBound),
          scratch: scratch)
        block.tail = (first, UnsafeRawPointer(scratch))
      }
      return block
    case .columns(let pointer, let columnStride):
      return Block(
        panels: pointer + (depth.lowerBound * 4 + columns.lowerBound * columnStride),
        panelStride: 0, lineStride: columnStride, isColumns: true)
    case .strided, .image:
      let stride = row.panelBytes(depth.count)
      pack(
        depth, columns, row: row,
        into: PackedPanels(base: scratch, stride: stride, firstColumn: columns.lowerBound),
        scratch: scratch)
      return Block(panels: UnsafeRawPointer(scratch), panelStride: stride)
    }
  }

  func packed(_ panels: PackedPanels) -> RightOperand { .panels(panels) }

  /// Packs a block of what is not in panels yet.
  func pack(
    _ depth: Range<Int>, _ columns: Range<Int>, row: GEMMRow, into panels: PackedPanels,
    scratch _: UnsafeMutableRawPointer
  ) {
    let target = panels.panel(columns.lowerBound, p0: 0, row: row)
    switch self {
    case .panels, .rows, .columns: return
    case .strided(let pointer, let kStride, let nStride, let isF32):
      var job = mk_pack_rhs()
      job.k = Int64(depth.count)
      job.n = Int64(columns.count)
      job.src = pointer + (depth.lowerBound * kStride + columns.lowerBound * nStride)
      job.k_stride = Int64(kStride)
      job.n_stride = Int64(nStride)
      job.dst = target
      job.dst_panel_stride = Int64(panels.stride)
      isF32 ? row.packF32(&job) : row.packSame(&job)
    case .image(var image):
      image.k0 = Int64(depth.lowerBound)
      image.k = Int64(depth.count)
      image.n0 = Int64(columns.lowerBound)
      image.n = Int64(columns.count)
      image.dst = target
      image.dst_panel_stride = Int64(panels.stride)
      row.packConvolution(&image)
    }
  }
}
