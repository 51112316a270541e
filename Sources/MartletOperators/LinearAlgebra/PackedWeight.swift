import MartletBackends
import MartletCore

/// A constant right-hand matrix, packed once in each type that runs multiply: f32 panels or bf16
/// panels, both only if both kinds of mode are used.
package final class PackedWeight: Sendable {
  private let prepared: PreparedConstants
  private let fp32 = HeldForm<PackedMatrix>()
  private let bf16 = HeldForm<PackedMatrix>()

  package init(_ prepared: PreparedConstants) { self.prepared = prepared }

  /// `weight` ([..., K, N], any strides, always the same tensor) packed for `mode`, the matrices of a
  /// batch one after another; nil where packing serves nothing.
  package func matrix(
    _ weight: Tensor, mode: MathMode, pool: ThreadPool
  ) throws(MartletError) -> PackedMatrix? {
    guard try PackedWeight.isServed(by: weight) else { return nil }
    let usesBF16 = weight.dtype == .bfloat16 || Backends.precision(for: mode).usesBF16
    return try (usesBF16 ? bf16 : fp32) { () throws(MartletError) in
      try prepared.form(usesBF16 ? "bfloat16 panels" : "float32 panels", of: weight) {
        () throws(MartletError) in
        try PackedWeight.pack(weight, mode: mode, pool: pool)
      }
    }
  }

  /// `weight` packed for one run; nil where that serves nothing.
  static func forOneRun(
    _ weight: Tensor, mode: MathMode, pool: ThreadPool
  ) throws(MartletError) -> PackedMatrix? {
    try isServed(by: weight) ? try pack(weight, mode: mode, pool: pool) : nil
  }

  private static func isServed(by weight: Tensor) throws(MartletError) -> Bool {
    let rank = weight.rank
    guard rank >= 2, weight.dtype == .float32 || weight.dtype == .bfloat16,
      weight.shape[rank - 1] != 1, weight.count > 0
    else { return false }
    return try Backends.readsPackedMatrices()
  }

  private static func pack(
    _ weight: Tensor, mode: MathMode, pool: ThreadPool
  ) throws(MartletError) -> PackedMatrix {
    let rank = weight.rank
    let view = MatrixView(
      weight.pointer, weight.dtype, rowStride: weight.strides[rank - 2],
      columnStride: weight.strides[rank - 1])
    let packed = try Backends.pack(
      view, k: weight.shape[rank - 2], n: weight.shape[rank - 1],
      matrixStrides: zip(weight.shape, weight.strides).dropLast(2).map { ($0, $1) },
      mode: mode, pool: pool)
    return packed
  }
}

extension PackedWeight? {
  /// Prepares `weight`, which is input `index`; see `PreparingOperator`.
  func prepare(
    _ weight: Tensor?, input index: Int, _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    guard let self, let weight,
      try self.matrix(weight, mode: preparation.mode, pool: preparation.pool) != nil
    else { return [] }
    return [index]
  }
}
