import MartletCore
import MartletKernels

/// The right matrix of an integer product: panels, or bytes that each work item packs for itself.
struct IntegerRightOperand: PanelSource {
  enum Source {
    case panels(PackedPanels)
    /// In bytes.
    case strided(UnsafeRawPointer, kStride: Int, nStride: Int)
    /// The implicit im2col matrix of one image and group.
    case image(mk_pack_conv, UnsafePointer<UInt8>, fill: UInt8)
  }

  /// int8 or uint8.
  let dtype: DType
  let source: Source

  var panels: PackedPanels? {
    if case .panels(let panels) = source { panels } else { nil }
  }

  func packed(_ panels: PackedPanels) -> IntegerRightOperand {
    IntegerRightOperand(dtype: dtype, source: .panels(panels))
  }

  func packingBytes(depth: Int, columns: Int) -> Int {
    if case .image = source { depth * columns } else { 0 }
  }

  func pack(
    _ depth: Range<Int>, _ columns: Range<Int>, row: IntegerRow, into panels: PackedPanels,
    scratch: UnsafeMutableRawPointer
  ) {
    var job = mk_int8_pack_rhs()
    job.k = Int64(depth.count)
    job.n = Int64(columns.count)
    job.is_signed = dtype == .int8
    job.dst = panels.panel(columns.lowerBound, p0: 0, row: row)
    job.dst_panel_stride = Int64(panels.stride)
    job.sums = panels.sums(columns)
    switch source {
    case .panels: return
    case .strided(let pointer, let kStride, let nStride):
      job.src = pointer + (depth.lowerBound * kStride + columns.lowerBound * nStride)
      job.k_stride = Int64(kStride)
      job.n_stride = Int64(nStride)
    case .image(var image, let src, let fill):
      image.k0 = Int64(depth.lowerBound)
      image.k = Int64(depth.count)
      image.n0 = Int64(columns.lowerBound)
      image.n = Int64(columns.count)
      mk_im2col_8bit(
        &image, src, fill, scratch.assumingMemoryBound(to: UInt8.self), Int64(columns.count))
      job.src = UnsafeRawPointer(scratch)
      job.k_stride = Int64(columns.count)
      job.n_stride = 1
    }
    row.packRHS(&job)
  }
}

extension IntegerRightOperand {
  init(_ view: MatrixView) {
    self.init(
      dtype: view.dtype,
      source: .strided(view.pointer, kStride: view.rowStride, nStride: view.columnStride))
  }
}
