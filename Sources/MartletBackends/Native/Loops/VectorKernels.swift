import MartletCore
import MartletKernels

/// The vector functions of an instruction set, as arrays that drivers index.
struct VectorKernels: Sendable {
  let unary: [mk_unary_fn]
  let binary: [mk_binary_fn]
  let reduce: [mk_reduce_fn]
  let accumulate: [mk_accumulate_fn]
  /// By MK_EXTREME_...
  let extreme: [mk_extreme_fn]
  /// By `cast(from:to:)` and `compare(_:_:)`.
  private let casts: [mk_cast_fn]
  private let compares: [mk_compare_fn]
  private let plain: [mk_plain_fn]
  /// The functions that are not in arrays.
  let table: mk_vector_table

  /// Those of the process's kernel set.
  static let chosen = KernelSet.current.vectors

  init(_ table: mk_vector_table) {
    self.table = table
    unary = VectorKernels.array(table.unary)
    binary = VectorKernels.array(table.binary)
    reduce = VectorKernels.array(table.reduce)
    accumulate = VectorKernels.array(table.accumulate)
    extreme = VectorKernels.array(table.extreme)
    casts = VectorKernels.array(table.cast)
    compares = VectorKernels.array(table.compare)
    plain = VectorKernels.array(table.plain)
  }

  /// The conversion between two types that loops have; nil for others.
  func cast(from source: DType, to target: DType) -> mk_cast_fn? {
    guard let from = source.kernelType, let to = target.kernelType else { return nil }
    return casts[from * MK_TYPE_COUNT + to]
  }

  /// `function` is one of MK_COMPARE_...; nil for a type that loops do not have.
  func compare(_ function: Int, _ dtype: DType) -> mk_compare_fn? {
    dtype.kernelType.map { compares[function * MK_TYPE_COUNT + $0] }
  }

  /// The tiles of products of float64 and of integers; nil for other types.
  func plain(_ dtype: DType) -> mk_plain_fn? {
    switch dtype {
    case .float64: plain[MK_PLAIN_F64]
    case .int8, .uint8: plain[MK_PLAIN_U8]
    case .int16, .uint16: plain[MK_PLAIN_U16]
    case .int32, .uint32: plain[MK_PLAIN_U32]
    case .int64, .uint64: plain[MK_PLAIN_U64]
    default: nil
    }
  }

  /// A C array of function pointers is a tuple in Swift.
  private static func array<Tuple, Function>(_ tuple: Tuple) -> [Function] {
    withUnsafeBytes(of: tuple) { Array($0.assumingMemoryBound(to: Function.self)) }
  }
}

extension DType {
  /// Its number among the types that kernels have loops for (MK_TYPE_...).
  fileprivate var kernelType: Int? {
    switch self {
    case .float32: MK_TYPE_F32
    case .float64: MK_TYPE_F64
    case .int8: MK_TYPE_I8
    case .int16: MK_TYPE_I16
    case .int32: MK_TYPE_I32
    case .int64: MK_TYPE_I64
    case .uint8: MK_TYPE_U8
    case .uint16: MK_TYPE_U16
    case .uint32: MK_TYPE_U32
    case .uint64: MK_TYPE_U64
    case .bool: MK_TYPE_BOOL
    default: nil
    }
  }
}
