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
    func reported(_ row: any KernelFamily, _ purpose: String) -> KernelRow {
      KernelRow(
        name: row.name, isa: row.isa, purpose: purpose,
        reason: row.isa == name
          ? "the chosen instruction set's own" : "\(name) has none of these types, inherited")
    }
    let products = kernels.preferred.map { row in
      let inputs = row.lhs == row.rhs ? "\(row.lhs)" : "\(row.lhs) by \(row.rhs)"
      return reported(row, "\(inputs) matrix products to \(row.dst)")
    }
    let integers = kernels.integers.prefix(1).map {
      reported($0, "products of 8-bit integers, quantising")
    }
    let vectors = KernelRow(
      name: "vectors_\(name)", isa: name,
      purpose: "elementwise functions, reductions, normalisations, conversions, pooling",
      reason: "the chosen instruction set's own")
    return products + integers + [vectors]
  }
}
