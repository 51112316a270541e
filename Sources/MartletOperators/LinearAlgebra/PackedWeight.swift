import MartletBackends
import MartletCore
import Synchronization

/// A constant right-hand matrix, packed at its first use in a mode and shared by all runs: f32 panels
/// or bf16 panels, both only if both kinds of mode are used.
package final class PackedWeight: Sendable {
  private struct Panels {
    var fp32: PackedMatrix?
    var bf16: PackedMatrix?
  }

  private let panels = Mutex(Panels())

  package init() {}

  /// `weight` ([..., K, N], any strides, always the same tensor) packed for `mode`, the matrices of a
  /// batch one after another; nil where packing serves nothing.
  package func matrix(
    _ weight: Tensor, mode: MathMode, pool: ThreadPool
  ) throws(MartletError) -> PackedMatrix? {
    let rank = weight.rank
    guard rank >= 2, weight.dtype == .float32 || weight.dtype == .bfloat16,
      weight.shape[rank - 1] != 1, weight.count > 0,
      try Backends.readsPackedMatrices()
    else { return nil }
    let usesBF16 = weight.dtype == .bfloat16 || Backends.precision(for: mode).usesBF16
    let outcome = panels.withLock { panels -> Result<PackedMatrix, MartletError> in
      if let packed = usesBF16 ? panels.bf16 : panels.fp32 { return .success(packed) }
      do throws(MartletError) {
        let view = MatrixView(
          weight.pointer, weight.dtype, rowStride: weight.strides[rank - 2],
          columnStride: weight.strides[rank - 1])
        let packed = try Backends.pack(
          view, k: weight.shape[rank - 2], n: weight.shape[rank - 1],
          matrixStrides: zip(weight.shape, weight.strides).dropLast(2).map { ($0, $1) },
          mode: mode, pool: pool)
        weight.keepAlive()
        if usesBF16 { panels.bf16 = packed } else { panels.fp32 = packed }
        return .success(packed)
      } catch {
        return .failure(error)
      }
    }
    return try outcome.get()
  }
}
