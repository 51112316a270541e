import MartletKernels
import Testing

@testable import MartletBackends

@Suite struct KernelSetTests {
  /// What the drivers' preconditions on the table rest on: the most portable instruction set has
  /// every function, and each set that builds on it inherits what it lacks.
  @Test(
    "no vector function is missing, whatever the cap", arguments: ["generic", "avx2", "avx512"])
  func complete(cap: String) throws {
    guard let kernels = ISASelection.kernels(cappedAt: cap) else {
      #expect(cap != "generic")
      return
    }
    let words = MemoryLayout<mk_vector_table>.size / MemoryLayout<UInt>.size
    kernels.vectors.withMemoryRebound(to: UInt.self, capacity: words) { table in
      for word in 0..<words {
        #expect(table[word] != 0, "entry \(word) of \(words)")
      }
    }
  }
}
