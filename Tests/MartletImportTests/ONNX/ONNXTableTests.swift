import MartletOperators
import Testing

@testable import MartletImport

@Suite struct ONNXTableTests {
  @Test("no operator stands in the table twice, and none of Martlet's own")
  func unique() {
    let ops = ONNXTable.all.map(\.op)
    #expect(Set(ops).count == ops.count)
    #expect(!ops.contains { $0.domain == OperatorID.martletDomain })
  }

  @Test("a line says its domain, and domains may share names")
  func domains() {
    let index = ONNXTable.index([
      .same("Gelu"), .same("Gelu", domain: "com.microsoft"),
      .renamed("Old", domain: "ai.onnx.ml", "New"),
    ])
    #expect(index.count == 3)
    #expect(index["Gelu"]?.op == "Gelu")
    let other = OperatorID("Gelu", domain: "com.microsoft")
    #expect(index[other]?.op == other)
    #expect(index["Old"] == nil && index[OperatorID("Old", domain: "ai.onnx.ml")] != nil)
    #expect(ONNXTable.lookup(other)?.target == "Gelu")
    #expect(ONNXTable.lookup(OperatorID("Gelu", domain: "org.example")) == nil)
  }
}
