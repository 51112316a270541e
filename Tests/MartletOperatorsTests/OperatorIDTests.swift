import MartletCore
import Testing

@testable import MartletOperators

@Suite struct OperatorIDTests {
  @Test("ONNX's own operators go by their plain names, others by domain and name")
  func description() {
    #expect("\(OperatorID("MatMul"))" == "MatMul")
    #expect("\(OperatorID("Gelu", domain: "com.microsoft"))" == "com.microsoft.Gelu")
    #expect(Linear.schema.name == "ai.martlet.Linear" && Linear.schema.id == .martlet("Linear"))
  }

  @Test("equal names in two domains are two operators")
  func domains() {
    #expect(OperatorID("Gelu", domain: "com.microsoft") != "Gelu")
    #expect(OperatorTable.lookup("Gelu") != nil)
    #expect(OperatorTable.lookup(OperatorID("Gelu", domain: "com.microsoft")) == nil)
    #expect(OperatorTable.lookup("Linear") == nil)
  }

  @Test("callers may leave Martlet's domain out where ONNX has none of that name")
  func named() {
    #expect(OperatorTable.id(named: "Conv") == "Conv")
    #expect(OperatorTable.id(named: "Silu") == .martlet("Silu"))
    #expect(OperatorTable.id(named: "ai.martlet.Silu") == .martlet("Silu"))
    #expect(OperatorTable.id(named: "NoSuch") == "NoSuch")
    #expect(OperatorTable.id(named: "com.microsoft.Silu") == "com.microsoft.Silu")
  }

  @Test("an error names the operator as reports do")
  func errors() {
    do {
      _ = try run("Linear", [try iota([2, 3])])
      Issue.record("nothing was thrown")
    } catch {
      let error = error as? MartletError
      #expect(error?.operatorName == "ai.martlet.Linear")
      #expect(error?.message == "ai.martlet.Linear: expected 2 to 4 inputs, got 1")
    }
  }
}
