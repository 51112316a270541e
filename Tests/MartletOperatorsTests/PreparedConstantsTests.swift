import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct PreparedConstantsTests {
  private func packed(
    _ prepared: PreparedConstants, _ weight: Tensor, form: String = "float32 panels",
    _ calls: inout Int
  ) throws -> PreparedTensor {
    var made = 0
    defer { calls += made }
    return try prepared.form(form, of: weight) { () throws(MartletError) in
      made += 1
      return PreparedTensor(try Tensor(uninitialized: weight.dtype, weight.shape))
    }
  }

  @Test("a form of a constant is made once, whoever asks, and counted")
  func once() throws {
    let prepared = PreparedConstants()
    let weight = try iota([4, 8])
    var calls = 0
    let first = try packed(prepared, weight, &calls)
    #expect(try packed(prepared, weight, &calls) === first)
    #expect(calls == 1)
    #expect(prepared.count == 1)
    #expect(prepared.byteCount == 4 * 8 * 4)
  }

  @Test("another form, another view and another constant are made by themselves")
  func others() throws {
    let prepared = PreparedConstants()
    let weight = try iota([4, 8])
    var calls = 0
    let first = try packed(prepared, weight, &calls)
    #expect(try packed(prepared, weight, form: "bfloat16 panels", &calls) !== first)
    #expect(try packed(prepared, weight.matrixTransposed, &calls) !== first)
    #expect(try packed(prepared, try iota([4, 8]), &calls) !== first)
    #expect(calls == 4)
    #expect(prepared.byteCount == 4 * first.byteCount)
  }

  @Test("what fails leaves nothing behind, and is tried again")
  func failure() throws {
    let prepared = PreparedConstants()
    let weight = try iota([4, 8])
    #expect(throws: MartletError.self) {
      try prepared.form("f", of: weight) { () throws(MartletError) -> PreparedTensor in
        throw MartletError(.outOfMemory, "none")
      }
    }
    #expect(prepared.count == 0)
    #expect(prepared.byteCount == 0)
    var calls = 0
    _ = try packed(prepared, weight, form: "f", &calls)
    #expect(calls == 1)
  }

  @Test("a name that stands for two types of form is an internal error")
  func twoTypes() throws {
    let prepared = PreparedConstants()
    let weight = try iota([4, 8])
    var calls = 0
    _ = try packed(prepared, weight, &calls)
    #expect(throws: MartletError.self) {
      try prepared.form("float32 panels", of: weight) { () throws(MartletError) in
        try Backends.pack(
          MatrixView(weight.pointer, .float32, rowStride: 8), k: 4, n: 8, mode: .fp32)
      }
    }
  }

  struct Case: CustomTestStringConvertible, Sendable {
    let name: OperatorID
    let shapes: [[Int]?]
    let constants: [Int]
    var dtype = DType.float32
    var attributes: [String: AttributeValue] = [:]
    var testDescription: String { "\(name)" }
  }

  static let cases = [
    Case(name: "MatMul", shapes: [[3, 16], [16, 40]], constants: [1]),
    Case(
      name: "Gemm", shapes: [[3, 16], [40, 16]], constants: [1], attributes: ["transB": .int(1)]),
    Case(name: .martlet("Linear"), shapes: [[3, 16], [40, 16]], constants: [1]),
    Case(name: "MatMulInteger", shapes: [[3, 16], [16, 40]], constants: [1], dtype: .int8),
    Case(name: "Conv", shapes: [[1, 8, 12, 12], [8, 8, 3, 3]], constants: [1]),
    Case(name: "Conv", shapes: [[1, 32, 24, 24], [32, 32, 3, 3]], constants: [1]),
    Case(name: "ConvTranspose", shapes: [[1, 8, 6, 6], [8, 4, 3, 3]], constants: [1]),
    Case(
      name: "LSTM", shapes: [[5, 2, 16], [1, 32, 16], [1, 32, 8]], constants: [1, 2],
      attributes: ["hidden_size": .int(8)]),
    Case(
      name: "GRU", shapes: [[5, 2, 16], [2, 24, 16], [2, 24, 8]], constants: [1, 2],
      attributes: ["hidden_size": .int(8), "direction": .string("bidirectional")]),
    Case(
      name: "LSTM", shapes: [[5, 2, 16], [1, 32, 16], [1, 32, 8]], constants: [1, 2],
      dtype: .float16, attributes: ["hidden_size": .int(8)]),
  ]

  @Test(
    "an operator prepared at load makes nothing more in its runs, whose bits are the same",
    arguments: cases)
  func operators(_ given: Case) throws {
    let inputs = try given.shapes.enumerated().map { index, shape in
      try shape.map { shape in
        let count = shape.reduce(1, *)
        return try tensor(
          (0..<count).map { Double(($0 * (index + 3)) % 7) - 3 }, shape, given.dtype)
      }
    }
    let prepared = PreparedConstants()
    let node = OperatorNode(
      attributes: Attributes(given.attributes, operatorName: given.name.name),
      constants: inputs.enumerated().map { given.constants.contains($0) ? $1 : nil },
      inputCount: inputs.count, outputCount: 1, prepared: prepared)
    let operation = try OperatorTable.make(given.name, node)
    let preparing = try #require(operation as? any PreparingOperator)
    let types: [ValueType?] = inputs.enumerated().map { index, input in
      input.map {
        ValueType(
          dtype: $0.dtype, shape: $0.shape.map { .known($0) },
          constant: given.constants.contains(index) ? $0 : nil)
      }
    }
    let unread = try preparing.prepare(types, Preparation(mode: .fp32))
    #expect(unread == given.constants)
    let made = prepared.count
    #expect(made > 0)
    let result = try operation.results(inputs, makeContext())[0]
    #expect(prepared.count == made)
    let plain = try OperatorTable.make(
      given.name,
      OperatorNode(
        attributes: Attributes(given.attributes, operatorName: given.name.name),
        constants: node.constants, inputCount: inputs.count, outputCount: 1))
    #expect(result.values == (try plain.results(inputs, makeContext())[0].values))
  }
}
