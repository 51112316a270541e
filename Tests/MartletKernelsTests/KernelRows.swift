import MartletKernels
import Testing

/// A GEMM row that this processor can run.
struct KernelRow: CustomTestStringConvertible, Sendable {
  let isa: String
  let name: String
  nonisolated(unsafe) let row: UnsafePointer<mk_gemm_row>  // points to a constant of the library

  var testDescription: String { "\(isa) \(name)" }
  var isBF16: Bool { row.pointee.rhs == MK_BF16 }
  var storesBF16: Bool { row.pointee.dst == MK_BF16 }
  /// VDPBF16PS takes denormals for zero and rounds in an order of its own.
  var usesDotInstruction: Bool { Int(row.pointee.arithmetic) == MK_SUMS_DOT }
  var mr: Int { Int(row.pointee.mr) }
  var nr: Int { Int(row.pointee.nr) }
  var kr: Int { Int(row.pointee.kr) }
  var lhsBytes: Int { row.pointee.lhs == MK_BF16 ? 2 : 4 }
  var dstBytes: Int { storesBF16 ? 2 : 4 }
  func panelBytes(_ k: Int) -> Int { (k + kr - 1) / kr * nr * 4 }
  func panels(_ n: Int) -> Int { (n + nr - 1) / nr }

  /// Runs `body`, which calls tiles, between the row's hooks.
  func configured(_ body: () -> Void) {
    row.pointee.begin?()
    body()
    row.pointee.end?()
  }

  /// The rows of every instruction set whose needs this processor meets.
  static let runnable: [KernelRow] = isas.flatMap { isa in
    (0..<Int(isa.pointee.gemm_row_count)).compactMap { index -> KernelRow? in
      guard let rows = isa.pointee.gemm_rows else { return nil }
      return KernelRow(
        isa: String(cString: isa.pointee.name), name: String(cString: rows[index].name),
        row: rows + index)
    }
  }

  static var isas: [UnsafePointer<mk_isa>] {
    var count: Int32 = 0
    guard let list = mk_isa_list(&count) else { return [] }
    let features = mk_cpu_features()
    return (0..<Int(count)).compactMap { list[$0] }.filter { $0.pointee.needs & ~features == 0 }
  }
}

/// f32 to bf16, nearest even, NaN quieted: written apart from the kernels.
func roundedToBF16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  if value.isNaN { return UInt16((bits | 0x40_0000) >> 16) }
  let upper = bits >> 16
  let lower = bits & 0xffff
  let up = lower > 0x8000 || (lower == 0x8000 && upper & 1 == 1)
  return UInt16(upper + (up ? 1 : 0))
}

func widened(_ half: UInt16) -> Float { Float(bitPattern: UInt32(half) << 16) }
