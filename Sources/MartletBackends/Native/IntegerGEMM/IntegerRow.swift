import MartletCore
import MartletKernels

/// The integer kernels of one instruction set: their tile and their functions.
///
/// @unchecked Sendable: constants of MartletKernels.
final class IntegerRow: KernelFamily, @unchecked Sendable {
  let name: String
  let isa: String
  let layout: PanelLayout
  let begin: (@convention(c) () -> Void)?
  let end: (@convention(c) () -> Void)?
  let mr: Int
  let nr: Int
  let kr: Int
  let kc: Int
  let mc: Int
  /// Whether a packed lhs is u8 (128 added to int8), else int16.
  let packsUnsigned: Bool
  let tile: @convention(c) (UnsafePointer<mk_int8_tile>?) -> Void
  /// The tile on panels that `widen` has widened, where that is faster.
  let wideTile: (@convention(c) (UnsafePointer<mk_int8_tile>?) -> Void)?
  let widen: (@convention(c) (Int64, UnsafeRawPointer?, UnsafeMutableRawPointer?) -> Void)?
  let packLHS: @convention(c) (UnsafePointer<mk_int8_pack_lhs>?) -> Void
  let packRHS: @convention(c) (UnsafePointer<mk_int8_pack_rhs>?) -> Void
  let finish: @convention(c) (UnsafePointer<mk_int8_finish>?) -> Void
  let quantize: @convention(c) (UnsafePointer<mk_quantize>?) -> Void
  let dequantize: @convention(c) (UnsafePointer<mk_dequantize>?) -> Void

  /// Nil for an incomplete row.
  init?(_ row: mk_int8_row, isa: String) {
    guard let tile = row.tile, let packLHS = row.pack_lhs, let packRHS = row.pack_rhs,
      let finish = row.finish, let quantize = row.quantize, let dequantize = row.dequantize,
      row.mr > 0, row.nr > 0, row.kr > 0
    else { return nil }
    name = String(cString: row.name)
    self.isa = isa
    layout = PanelLayout(dtype: .int8, kr: Int(row.kr), nr: Int(row.nr))
    begin = row.begin
    end = row.end
    mr = Int(row.mr)
    nr = Int(row.nr)
    kr = Int(row.kr)
    kc = max(Int(row.kc), kr)
    mc = max(Int(row.mc), mr)
    packsUnsigned = row.lhs == Int32(MK_U8)
    self.tile = tile
    wideTile = row.widen == nil ? nil : row.wide_tile
    widen = row.wide_tile == nil ? nil : row.widen
    self.packLHS = packLHS
    self.packRHS = packRHS
    self.finish = finish
    self.quantize = quantize
    self.dequantize = dequantize
  }

  /// Bytes of the same panel widened; 0 where panels are not.
  func widePanelBytes(_ k: Int) -> Int { widen == nil ? 0 : (k + kr - 1) / kr * nr * 4 }

  var sumsColumns: Bool { true }

  /// Bytes between packed rows of lhs.
  func lhsStride(_ depth: Int) -> Int { CacheSets.spread((depth + kr - 1) / kr * 4) }

  /// What packing adds to the elements of each side, hence to their zero points.
  func lhsShift(_ dtype: DType) -> Int32 { packsUnsigned && dtype == .int8 ? 128 : 0 }
  func rhsShift(_ dtype: DType) -> Int32 { dtype == .uint8 ? -128 : 0 }
}
