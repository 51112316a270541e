import MartletCore
import MartletKernels

/// The right matrix of a product as tiles read it: panels packed before, or something that each
/// work item packs block by block into its own scratch.
enum RightOperand {
  /// Panels over the whole of K; column `firstColumn` (a multiple of nr) opens the first panel.
  case panels(UnsafeRawPointer, panelStride: Int, firstColumn: Int)
  /// Strides in bytes; f32, or the row's own type.
  case strided(UnsafeRawPointer, kStride: Int, nStride: Int, isF32: Bool)
  /// The implicit im2col matrix of one image and group.
  case image(mk_pack_conv)

  init(_ view: MatrixView, row: GEMMRow) {
    let bytes = view.dtype.byteCount
    self = .strided(
      view.pointer, kStride: view.rowStride * bytes, nStride: view.columnStride * bytes,
      isF32: view.dtype == .float32)
  }

  /// The same matrix `bytes` further in memory.
  func moved(by bytes: Int) -> RightOperand {
    switch self {
    case .panels, .image: self
    case .strided(let pointer, let kStride, let nStride, let isF32):
      .strided(pointer + bytes, kStride: kStride, nStride: nStride, isF32: isF32)
    }
  }

  /// Scratch bytes that a block of `depth` by `columns` needs.
  func scratchBytes(depth: Int, columns: Int, row: GEMMRow) -> Int {
    if case .panels = self { return 0 }
    return (columns + row.nr - 1) / row.nr * row.panelBytes(depth) + 64
  }

  /// The panels of rows `p0..<p0 + depth` and columns from `j0`: address and stride in bytes.
  func block(
    p0: Int, depth: Int, j0: Int, columns: Int, row: GEMMRow, scratch: UnsafeMutableRawPointer
  ) -> (UnsafeRawPointer, panelStride: Int) {
    let panelStride = row.panelBytes(depth)
    switch self {
    case .panels(let base, let wholeStride, let firstColumn):
      let offset = (j0 - firstColumn) / row.nr * wholeStride + p0 * row.nr * row.rhsBytes
      return (base + offset, wholeStride)
    case .strided, .image:
      pack(
        p0: p0, depth: depth, j0: j0, columns: columns, row: row, into: scratch,
        panelStride: panelStride)
    }
    return (UnsafeRawPointer(scratch), panelStride)
  }

  /// Packs a block of what is not in panels yet.
  func pack(
    p0: Int, depth: Int, j0: Int, columns: Int, row: GEMMRow, into target: UnsafeMutableRawPointer,
    panelStride: Int
  ) {
    switch self {
    case .panels: return
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
