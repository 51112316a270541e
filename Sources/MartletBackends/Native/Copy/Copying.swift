import Glibc
import MartletCore

/// Moves elements between tensors of any strides.
package enum Copying {
  /// Copies `src` to `dst`: the same shape and dtype, any strides (packed elements have one order
  /// only), no overlap.
  package static func copy(_ src: Tensor, into dst: Tensor, _ workspace: Workspace) {
    src.moveElements(
      to: dst, on: workspace.pool, turn: VectorKernels.chosen.table.transpose32)
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
