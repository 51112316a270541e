import MartletCore
import MartletKernels

/// What can be said of the processor and the choice, for people and programs that ask.
extension ISASelection {
  /// A family of kernels that this process runs.
  package struct KernelRow: Sendable, Equatable {
    package let name: String
    /// The instruction set that it was written for.
    package let isa: String
    package let purpose: String
    package let reason: String
  }

  /// The processor's brand string; asking does not settle the choice.
  package static var processorName: String { Machine.shared.processor }

  /// Names of the processor's features that kernels know of; asking does not settle the choice.
  package static var processorFeatures: [String] { Machine.shared.featureNames }

  /// All instruction sets that were compiled in, from the most portable up.
  package var compiledIn: [String] { Machine.shared.names }

  /// The kernels in use: one row per combination of dtypes of matrix products, then the rest.
  package var kernelRows: [KernelRow] {
    let products = kernels.rows.map { row in
      let isa = owner(of: row.name)
      let inputs = row.lhs == row.rhs ? "\(row.lhs)" : "\(row.lhs) by \(row.rhs)"
      return KernelRow(
        name: row.name, isa: isa, purpose: "\(inputs) matrix products to \(row.dst)",
        reason: isa == name
          ? "the chosen instruction set's own" : "\(name) has none of these types, inherited")
    }
    let vectors = KernelRow(
      name: "vectors_\(name)", isa: name,
      purpose: "elementwise functions, reductions, normalisations, conversions, pooling",
      reason: "the chosen instruction set's own")
    return products + [vectors]
  }

  /// The most capable usable instruction set with a GEMM row of this name.
  private func owner(of row: String) -> String {
    let isa = Machine.shared.usable.last { isa in
      (0..<Int(isa.pointee.gemm_row_count)).contains { index in
        String(cString: isa.pointee.gemm_rows[index].name) == row
      }
    }
    return isa.map(Machine.name) ?? name
  }
}
