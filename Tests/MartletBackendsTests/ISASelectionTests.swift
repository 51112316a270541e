import MartletCore
import Testing

@testable import MartletBackends

@Suite struct ISASelectionTests {
  @Test("the choice is one that was found, and every other compiled-in one has a reason")
  func facts() {
    let current = ISASelection.current
    #expect(current.found.contains(current.name))
    #expect(current.found.first == "generic")
    #expect(!current.processor.isEmpty)
    for refusal in current.refused { #expect(!refusal.reason.isEmpty) }
    #expect(!current.refused.contains { $0.name == current.name })
  }

  @Test("a cap after first use and an unknown name are errors") func caps() {
    _ = ISASelection.current
    let late = #expect(throws: MartletError.self) { try ISASelection.cap(at: "generic") }
    #expect(late?.code == .invalidState)
    let unknown = #expect(throws: MartletError.self) { try ISASelection.cap(at: "mmx") }
    #expect(unknown?.code == .notFound)
    #expect(unknown?.message.contains("generic") == true)
  }

  @Test("a capped set has every row of those below") func inheritance() {
    for kernels in testedKernels {
      for type in [DType.float32, .bfloat16] {
        #expect(kernels.row(dst: .float32, lhs: type, rhs: type) != nil, "\(kernels.name)")
      }
      #expect(kernels.row(dst: .bfloat16, lhs: .bfloat16, rhs: .bfloat16) != nil)
    }
  }

  @Test("a mode that permits more than there is says why not") func reasons() throws {
    let generic = try #require(ISASelection.kernels(cappedAt: "generic"))
    #expect(generic.precision(for: .fp32) == (false, ""))
    let (usesBF16, reason) = generic.precision(for: .bf16)
    #expect(!usesBF16 && reason.contains("bf16"))
    #expect(generic.precision(for: .tf32).reason == "TF32 permits nothing on this processor")
    for kernels in testedKernels {
      let (uses, why) = kernels.precision(for: .any)
      #expect(uses == why.isEmpty)
    }
  }
}
