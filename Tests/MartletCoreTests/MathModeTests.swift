import Testing

@testable import MartletCore

@Suite(.serialized) struct MathModeTests {
  @Test(
    "names and aliases, in any case",
    arguments: [
      ("fp32", MathMode.fp32), ("Strict", .fp32), ("IEEE", .fp32), ("highest", .fp32),
      ("bf16", .bf16), ("TF32", .tf32), ("f16", .f16), ("any", .any),
    ])
  func names(name: String, mode: MathMode) throws {
    #expect(try MathMode(name: name) == mode)
  }

  @Test("an unknown name lists the known ones") func unknown() {
    do throws(MartletError) {
      _ = try MathMode(name: "bf17")
      Issue.record("bf17 was accepted")
    } catch {
      #expect(error.code == .notFound)
      for name in ["FP32", "STRICT", "IEEE", "HIGHEST", "BF16", "TF32", "F16", "ANY"] {
        #expect(error.message.contains(name))
      }
    }
  }

  @Test("argument goes before scope, scope before process") func precedence() throws {
    MathMode.setProcess(.tf32)
    defer { MathMode.setProcess(.fp32) }
    #expect(MathMode.effective() == .tf32)
    try MathMode.pushScope(.bf16)
    #expect(MathMode.effective() == .bf16)
    try MathMode.pushScope(.fp32)
    #expect(MathMode.effective() == .fp32)
    #expect(MathMode.effective(argument: .any) == .any)
    try MathMode.popScope()
    #expect(MathMode.effective() == .bf16)
    try MathMode.popScope()
    #expect(MathMode.effective() == .tf32)
    #expect(throws: MartletError.self) { try MathMode.popScope() }
  }

  @Test("scopes nest to 64") func depth() throws {
    for _ in 0..<64 { try MathMode.pushScope(.bf16) }
    #expect(throws: MartletError.self) { try MathMode.pushScope(.bf16) }
    for _ in 0..<64 { try MathMode.popScope() }
  }
}
