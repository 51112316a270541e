import Glibc
import MartletCore
import MartletKernels

/// Moves elements between tensors of any strides.
package enum Copying {
  /// Elements that one thread copies at a time.
  private static let grain = 1 << 16

  /// Copies `src` to `dst`: the same shape and dtype, any strides (packed elements have one order
  /// only), no overlap.
  ///
  /// Rows that are contiguous in both are block copies; an axis that is contiguous in src alone is
  /// transposed in tiles.
  package static func copy(_ src: Tensor, into dst: Tensor, _ workspace: Workspace) {
    if src.dtype.isPacked {
      memcpy(dst.pointer, src.pointer, src.byteCount)
      return
    }
    let size = src.dtype.wholeByteCount
    let from = src.pointer
    let to = dst.pointer
    var loop = StridedLoop(dst.shape, dst, src)
    if loop.innerStrides[0] == size && loop.innerStrides[1] != size {
      // src runs along another axis: bring it next to the innermost for the tiled transposition.
      if let axis = loop.strides.indices.dropLast().last(where: { loop.strides[$0][1] == size }) {
        loop.moveNextToInnermost(axis)
      }
    }
    let inner = loop.innerStrides
    let rowStep = loop.strides.count > 1 ? loop.strides[loop.strides.count - 2] : SIMD4<Int>()
    let transpose32 = VectorKernels.chosen.table.transpose32
    loop.runBlocks(on: workspace.pool, grain: grain) { offsets, rows, columns in
      let source = from + offsets[1]
      let target = to + offsets[0]
      if size == 4, rowStep[1] == 4, inner[0] == 4, inner[1] != 4, rows > 3, columns > 3 {
        // The kernel's rows are those of its source: our columns.
        transpose32(
          Int64(columns), Int64(rows), source, Int64(inner[1]), target, Int64(rowStep[0]))
        return
      }
      mk_copy_2d(
        Int32(size), Int64(rows), Int64(columns), source, Int64(rowStep[1]), Int64(inner[1]),
        target, Int64(rowStep[0]), Int64(inner[0]))
    }
  }

  /// Sets every element of the contiguous `dst` to the scalar `value` of the same dtype.
  package static func fill(_ dst: Tensor, with value: Tensor, _ workspace: Workspace) {
    if dst.dtype.isPacked {
      // A group of 8 elements fills whole bytes, which repeat.
      let bits = dst.dtype.bitWidth
      var code: UInt8 = 0
      PackedElements.unpack(dst.dtype, value.pointer, 1, into: &code)
      let group = [UInt8](repeating: code, count: 8)
      var bytes = [UInt8](repeating: 0, count: bits)
      PackedElements.pack(dst.dtype, group, 8, into: &bytes)
      let target = dst.typed(UInt8.self)
      for index in 0..<dst.byteCount { target[index] = bytes[index % bits] }
      let last = dst.count % 8
      if last > 0 {
        PackedElements.pack(
          dst.dtype, group, last, into: dst.pointer + dst.dtype.byteCount(of: dst.count - last))
      }
      return
    }
    let scalar = Tensor(
      unchecked: value.storage, dtype: value.dtype, shape: dst.shape,
      strides: [Int](repeating: 0, count: dst.rank), byteOffset: value.byteOffset)
    copy(scalar, into: dst, workspace)
  }

  /// Sets every byte of the contiguous `dst` to zero.
  package static func zero(_ dst: Tensor) {
    memset(dst.pointer, 0, dst.byteCount)
  }
}
