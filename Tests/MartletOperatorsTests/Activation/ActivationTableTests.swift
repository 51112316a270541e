import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ActivationTableTests {
  @Test("names are unique, in any case, and each row has a use")
  func names() {
    let names = ActivationTable.all.map { $0.name.lowercased() }
    #expect(Set(names).count == names.count)
    for row in ActivationTable.all { #expect(!row.uses.isEmpty, "\(row.name)") }
  }

  @Test("what an epilogue applies is one kernel, and its operator the same function")
  func epilogues() throws {
    let x = try tensor([-3.5, -1, -0.25, 0, 0.125, 0.5, 2, 7])
    for row in ActivationTable.rows(for: .epilogue) {
      let (alpha, beta) = (row.alpha?.fallback ?? 0, row.beta?.fallback ?? 0)
      let functions = row.functions(alpha, beta)
      #expect(functions.count == 1, "\(row.name)")
      let result = try Tensor(uninitialized: .float32, x.shape)
      try Elementwise.unary(functions[0], x, into: result, makeContext().workspace)
      let operation = try run(row.op.description, [x], row.attributes)[0]
      #expect(operation.values == result.values, "\(row.name)")
      #expect(
        agree(x.values.map { functions[0].apply($0) }, result.values, 1e-6), "\(row.name)")
      let fused = try run(
        "FusedMatMul", [x.restrided([8, 1], strides: [1, 1]), tensor([1], [1, 1])],
        ["activation": .string(row.name)])[0]
      #expect(fused.values == result.values, "\(row.name)")
    }
  }

  @Test("an unknown activation is refused, naming those that there are")
  func unknown() {
    for (name, known) in [("Sine", "HardSwish"), ("Softplus", "LeakyRelu")] {
      let error = #expect(throws: MartletError.self) {
        try run("FusedConv", [iota([1, 1, 3]), iota([1, 1, 1])], ["activation": .string(name)])
      }
      #expect(error?.input == "activation" && error?.actual == name)
      #expect(error?.expected?.contains(known) == true)
      #expect(error?.message.hasPrefix("ai.martlet.FusedConv: ") == true)
    }
  }
}
