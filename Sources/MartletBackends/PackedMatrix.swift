import MartletCore

/// A right-hand matrix packed once for one kernel row and used by many products.
///
/// It holds panels of one type only: f32, or bf16 where it was packed for a mode that permits bf16 on
/// a processor that has it.
///
/// @unchecked Sendable: immutable after init.
package final class PackedMatrix: @unchecked Sendable {
  package let k: Int
  package let n: Int
  /// How many matrices of k by n; products count their batch strides in them.
  package let matrices: Int
  /// The type of the panels' elements.
  package let dtype: DType
  package let layout: PanelLayout
  package let storage: Storage
  /// Bytes from one panel to the next.
  let panelStride: Int
  /// Bytes from one matrix to the next.
  let matrixStride: Int

  init(
    k: Int, n: Int, matrices: Int, dtype: DType, layout: PanelLayout, panelStride: Int,
    matrixStride: Int, storage: Storage
  ) {
    self.k = k
    self.n = n
    self.matrices = matrices
    self.matrixStride = matrixStride
    self.dtype = dtype
    self.layout = layout
    self.panelStride = panelStride
    self.storage = storage
  }

  /// Bytes that the panels occupy.
  package var byteCount: Int { storage.byteCount }
}
