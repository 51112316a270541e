import MartletCore
import MartletKernels

/// The kernels of one instruction set and of those before it: all rows are kept, for rows of one
/// arithmetic stand in for each other without changing a bit.
///
/// A class, so that the structs on a product's way hold one reference to it.
///
/// @unchecked Sendable: constants of MartletKernels.
final class KernelSet: @unchecked Sendable {
  let name: String
  /// All rows of products in floating point, those of the most capable instruction set first.
  let rows: [GEMMRow]
  /// Of those, one per combination of dtypes: the first, which sets the arithmetic.
  let preferred: [GEMMRow]
  /// The row of f32 alone, and that of bf16 into f32.
  let float32: GEMMRow?
  let bfloat16: GEMMRow?
  /// Those of the most capable instruction set: every table is whole.
  let vectors: VectorKernels
  /// Why products of float32 are never rounded to bf16 here; empty where they may be.
  let noBF16Reason: String

  /// The units' own limits, see `HardwarePeak`; nil where there is no such unit.
  let peakFloat32: (@convention(c) (Int64) -> Int64)?
  let peakBFloat16: (@convention(c) (Int64) -> Int64)?
  let peakInt8: (@convention(c) (Int64) -> Int64)?
  /// All rows of integer products, and of quantising, in the same order; the first is preferred.
  let integers: [IntegerRow]

  /// The kernels this process runs.
  static var current: KernelSet { ISASelection.current.kernels }

  /// `chain` runs from the most portable to the most capable.
  init(chain: [UnsafePointer<mk_isa>], name: String, noBF16Reason: String) {
    self.name = name
    self.noBF16Reason = noBF16Reason
    peakFloat32 = chain.last { $0.pointee.peak_f32 != nil }?.pointee.peak_f32
    peakBFloat16 =
      noBF16Reason.isEmpty
      ? chain.last { $0.pointee.peak_bf16 != nil }?.pointee.peak_bf16 : nil
    var rows: [GEMMRow] = []
    var integers: [IntegerRow] = []
    var peakInt8: (@convention(c) (Int64) -> Int64)?
    for isa in chain.reversed().map(\.pointee) {
      let name = String(cString: isa.name)
      rows += (0..<Int(isa.gemm_row_count)).compactMap { GEMMRow(isa.gemm_rows[$0], isa: name) }
      guard let row = isa.int8_row.flatMap({ IntegerRow($0.pointee, isa: name) }) else { continue }
      if integers.isEmpty { peakInt8 = isa.peak_int8 }
      integers.append(row)
    }
    self.rows = rows
    self.integers = integers
    self.peakInt8 = peakInt8
    var preferred: [GEMMRow] = []
    for row in rows where !preferred.contains(where: { $0.multiplies(as: row) }) {
      preferred.append(row)
    }
    self.preferred = preferred
    float32 = preferred.first { $0.dst == .float32 && $0.lhs == .float32 && $0.rhs == .float32 }
    bfloat16 = preferred.first { $0.dst == .float32 && $0.lhs == .bfloat16 && $0.rhs == .bfloat16 }
    vectors = VectorKernels(chain.last?.pointee.vectors.pointee ?? mk_vectors_generic)
  }

  /// The row that multiplies these types, or nil.
  func row(dst: DType, lhs: DType, rhs: DType) -> GEMMRow? {
    preferred.first { $0.dst == dst && $0.lhs == lhs && $0.rhs == rhs }
  }

  /// The row that multiplies these types, of those with the preferred one's bits one that reads
  /// `packed`; nil where there is none.
  func row(dst: DType, lhs: DType, rhs: DType, reading packed: PackedMatrix?) -> GEMMRow? {
    guard let row = row(dst: dst, lhs: lhs, rhs: rhs) else { return nil }
    guard let packed, packed.layout != row.layout else { return row }
    return rows.first {
      $0.multiplies(as: row) && $0.arithmetic == row.arithmetic && $0.layout == packed.layout
    }
  }

  /// The preferred row of integer products, or one that reads `packed`; nil where there is none.
  func integerRow(reading packed: PackedIntegerMatrix? = nil) -> IntegerRow? {
    guard let packed else { return integers.first }
    return integers.first { $0.layout == packed.layout }
  }

  /// Whether float32 products run in bf16 under `mode`, and if not though asked, why.
  func precision(for mode: MathMode) -> (usesBF16: Bool, reason: String) {
    switch mode {
    case .fp32: (false, "")
    case .bf16, .any: (noBF16Reason.isEmpty, noBF16Reason)
    case .tf32, .f16: (false, "\(mode) permits nothing on this processor")
    }
  }
}
