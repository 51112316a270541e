import MartletKernels

/// The vector functions of an instruction set, as arrays that drivers index.
struct VectorKernels: Sendable {
  let unary: [mk_unary_fn]
  let binary: [mk_binary_fn]
  let reduce: [mk_reduce_fn]
  let accumulate: [mk_accumulate_fn]
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
  }

  /// A C array of function pointers is a tuple in Swift.
  private static func array<Tuple, Function>(_ tuple: Tuple) -> [Function] {
    withUnsafeBytes(of: tuple) { Array($0.assumingMemoryBound(to: Function.self)) }
  }
}
