import MartletCore
import MartletKernels

/// The left matrix of a product as tiles read it: in place, or copied block by block into rows of
/// the kernel row's own type with K contiguous.
enum LeftOperand {
  /// Already of the row's type with K contiguous; the stride is in bytes.
  case inPlace(UnsafeRawPointer, rowStride: Int)
  /// Anything else; strides are in bytes, `isF32` says what the source holds (else the row's type).
  case copied(UnsafeRawPointer, rowStride: Int, columnStride: Int, isF32: Bool)

  init(_ view: MatrixView, row: GEMMRow) {
    let bytes = view.dtype.wholeByteCount
    if view.dtype == row.lhs, view.columnStride == 1 {
      self = .inPlace(view.pointer, rowStride: view.rowStride * bytes)
    } else {
      self = .copied(
        view.pointer, rowStride: view.rowStride * bytes, columnStride: view.columnStride * bytes,
        isF32: view.dtype == .float32)
    }
  }

  var isCopied: Bool {
    if case .copied = self { true } else { false }
  }

  /// Bytes between the rows that tiles read in place; 0 where they are copied.
  var strideInPlace: Int {
    if case .inPlace(_, let rowStride) = self { rowStride } else { 0 }
  }

  /// The same matrix `bytes` further in memory.
  func moved(by bytes: Int) -> LeftOperand {
    switch self {
    case .inPlace(let pointer, let rowStride): .inPlace(pointer + bytes, rowStride: rowStride)
    case .copied(let pointer, let rowStride, let columnStride, let isF32):
      .copied(pointer + bytes, rowStride: rowStride, columnStride: columnStride, isF32: isF32)
    }
  }

  /// Rows that are turned at a time when a transposed f32 matrix is rounded to bf16.
  private static let turnedRows = 16

  /// Scratch bytes that a block of `rows` by `depth` needs.
  func scratchBytes(rows: Int, depth: Int, row: GEMMRow) -> Int {
    guard case .copied = self else { return 0 }
    let turned = row.lhs == .float32 ? 0 : LeftOperand.turnedRows * depth * 4
    return rows * LeftOperand.copiedStride(depth, row) + turned + 64
  }

  private static func copiedStride(_ depth: Int, _ row: GEMMRow) -> Int {
    CacheSets.spread(depth * row.lhsBytes)
  }

  /// Rows `i0..<i0 + rows`, columns `p0..<p0 + depth`.
  func block(
    i0: Int, rows: Int, p0: Int, depth: Int, row: GEMMRow, kernels: KernelSet,
    scratch: UnsafeMutableRawPointer
  ) -> LeftBlock {
    switch self {
    case .inPlace(let pointer, let rowStride):
      return LeftBlock(start: pointer + (i0 * rowStride + p0 * row.lhsBytes), stride: rowStride)
    case .copied(let pointer, let rowStride, let columnStride, let isF32):
      let source = pointer + (i0 * rowStride + p0 * columnStride)
      let stride = LeftOperand.copiedStride(depth, row)
      let block = Block(
        source: source, rowStride: rowStride, columnStride: columnStride, rows: rows,
        depth: depth, target: scratch, targetStride: stride)
      if !isF32 {
        row.lhsBytes == 2 ? block.gather(UInt16.self) : block.gather(UInt32.self)
      } else if row.lhs == .float32 {
        block.copyF32(kernels)
      } else {
        block.roundToBF16(kernels, row, turned: scratch + rows * stride)
      }
      return LeftBlock(start: UnsafeRawPointer(scratch), stride: stride)
    }
  }

  /// One block on its way into scratch.
  private struct Block {
    let source: UnsafeRawPointer
    let rowStride: Int
    let columnStride: Int
    let rows: Int
    let depth: Int
    let target: UnsafeMutableRawPointer
    let targetStride: Int

    func copyF32(_ kernels: KernelSet) {
      if rowStride == 4 {
        kernels.vectors.table.transpose32(
          Int64(depth), Int64(rows), source, Int64(columnStride), target, Int64(targetStride))
      } else {
        gather(UInt32.self)
      }
    }

    func roundToBF16(_ kernels: KernelSet, _ kernel: GEMMRow, turned: UnsafeMutableRawPointer) {
      let convert = kernels.vectors.table.f32_to_bf16
      func round(_ row: UnsafeRawPointer, _ index: Int) {
        let from = row.assumingMemoryBound(to: Float.self)
        let to = (target + index * targetStride).assumingMemoryBound(to: UInt16.self)
        if let round = kernel.round {
          round(Int64(depth), from, to)
        } else {
          convert(Int64(depth), from, to)
        }
      }
      if columnStride == 4 {
        for index in 0..<rows { round(source + index * rowStride, index) }
        return
      }
      let step = LeftOperand.turnedRows
      for first in stride(from: 0, to: rows, by: step) {
        let part = Block(
          source: source + first * rowStride, rowStride: rowStride, columnStride: columnStride,
          rows: min(step, rows - first), depth: depth, target: turned, targetStride: depth * 4)
        part.copyF32(kernels)
        for index in 0..<part.rows { round(turned + index * depth * 4, first + index) }
      }
    }

    func gather<Element: FixedWidthInteger>(_: Element.Type) {
      for index in 0..<rows {
        var from = source + index * rowStride
        let to = (target + index * targetStride).assumingMemoryBound(to: Element.self)
        if columnStride == MemoryLayout<Element>.size {
          to.update(from: from.assumingMemoryBound(to: Element.self), count: depth)
          continue
        }
        for p in 0..<depth {
          to[p] = from.loadUnaligned(as: Element.self)
          from += columnStride
        }
      }
    }
  }
}
