import Glibc
import MartletKernels
import MartletKernelsWide
import Testing

/// The vector functions of an instruction set that this processor can run.
struct VectorTable: CustomTestStringConvertible, Sendable {
  let name: String
  nonisolated(unsafe) let table: UnsafePointer<mk_vector_table>  // a constant of the library

  var testDescription: String { name }

  /// Each runnable instruction set's table once, and the 64-byte one that stands in for AVX-512.
  static let runnable: [VectorTable] = {
    var tables: [VectorTable] = []
    for isa in KernelRow.isas {
      let table = isa.pointee.vectors
      if tables.contains(where: { $0.table == table }) { continue }
      tables.append(VectorTable(name: String(cString: isa.pointee.name), table: table))
    }
    if tables.contains(where: { $0.name == "avx2" }) || tables.count == 1 && !isX86,
      let wide = mk_wide_vectors()
    {
      tables.append(VectorTable(name: "wide", table: wide))
    }
    return tables
  }()

  private static var isX86: Bool {
    #if arch(x86_64)
      true
    #else
      false
    #endif
  }

  /// Whether a multiply-add of this table rounds once.
  var fuses: Bool { name != "generic" || !Self.isX86 }

  private func entry<Function, Tuple>(
    _ path: KeyPath<mk_vector_table, Tuple>, _ index: Int, as type: Function.Type
  ) -> Function? {
    guard let offset = MemoryLayout<mk_vector_table>.offset(of: path) else { return nil }
    return (UnsafeRawPointer(table) + offset).assumingMemoryBound(to: Function?.self)[index]
  }

  func unary(_ op: Int) -> mk_unary_fn? { entry(\.unary, op, as: mk_unary_fn.self) }
  func binary(_ op: Int) -> mk_binary_fn? { entry(\.binary, op, as: mk_binary_fn.self) }
  func reduce(_ op: Int) -> mk_reduce_fn? { entry(\.reduce, op, as: mk_reduce_fn.self) }
  func accumulate(_ op: Int) -> mk_accumulate_fn? {
    entry(\.accumulate, op, as: mk_accumulate_fn.self)
  }

  func unary(_ op: Int, _ x: [Float], _ a: Float = 0, _ b: Float = 0) -> [Float] {
    var y = [Float](repeating: 0, count: x.count)
    unary(op)?(Int64(x.count), x, &y, a, b)
    return y
  }

  func binary(_ op: Int, _ x: [Float], _ y: [Float]) -> [Float] {
    var z = [Float](repeating: 0, count: max(x.count, y.count))
    binary(op)?(Int64(z.count), x, x.count > 1 ? 1 : 0, y, y.count > 1 ? 1 : 0, &z)
    return z
  }
}

extension mk_vector_table {
  static let unaryCount = MK_UNARY_COUNT
  static let binaryCount = MK_BINARY_COUNT
  static let reduceCount = MK_REDUCE_COUNT
}

/// How many units in the last place of a float `got` is away from `want`: 0 for equal values and
/// for two NaNs, infinite where one is NaN, where signs of zero differ or an infinity is wrong.
func ulps(_ got: Float, _ want: Double) -> Double {
  if want.isNaN || got.isNaN { return want.isNaN && got.isNaN ? 0 : .infinity }
  if want == 0 && got == 0 { return want.sign == got.sign ? 0 : .infinity }
  let rounded = Float(want)
  if rounded == got { return got.isInfinite ? 0 : abs(Double(got) - want) / spacing(want) }
  let largest = Double(Float.greatestFiniteMagnitude)
  let finite = got.isInfinite ? (got > 0 ? largest : -largest) : Double(got)
  if want.isInfinite { return .infinity }
  return abs(finite - want) / spacing(want)
}

/// The distance of neighbouring floats around `x`.
private func spacing(_ x: Double) -> Double {
  let bounded = min(max(abs(x), 0x1p-126), Double(Float.greatestFiniteMagnitude))
  return scalbn(1, Int(bounded.exponent) - 23)
}

/// Floats of all magnitudes and both signs: every `stride`-th bit pattern, and the special ones.
/// MARTLET_SAMPLE_STRIDE=1 in the environment makes it every float.
func sampledFloats(_ body: ([Float]) -> Void) {
  let stride = getenv("MARTLET_SAMPLE_STRIDE").flatMap { UInt64(String(cString: $0)) } ?? 40_009
  body(specialFloats + specialFloats.map { -$0 })
  var chunk: [Float] = []
  var bits: UInt64 = 0
  while bits < 1 << 32 {
    chunk.append(Float(bitPattern: UInt32(bits)))
    if chunk.count == 4096 {
      body(chunk)
      chunk.removeAll(keepingCapacity: true)
    }
    bits += max(stride, 1)
  }
  body(chunk)
}

let specialFloats: [Float] = [
  0, 0x1p-149, 0x1p-130, 0x1p-126, 0x1p-24, 0.1, 0.5, 1, 1.5, 2, 2.5, 3, 10, 87.5, 88.8, 104,
  0x1p17, 0x1p22 + 0.5, 8388607.5, 0x1p23, 0x1p24, 0x1p31, .greatestFiniteMagnitude, .infinity,
  .nan,
]
