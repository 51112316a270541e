import MartletCore
import Testing

@testable import MartletOperators

@Suite("Recurrent faults") struct RecurrentFaultsTests {
  /// A call with one thing wrong, what is blamed, and the error's code.
  struct Fault: Sendable, CustomTestStringConvertible {
    let blamed: String
    let code: MartletError.Code
    let change: @Sendable (inout [Tensor?], inout [String: AttributeValue]) throws -> Void
    var testDescription: String { "\(blamed) \(code)" }

    init(
      _ blamed: String, _ code: MartletError.Code,
      _ change:
        @escaping @Sendable (inout [Tensor?], inout [String: AttributeValue]) throws
        -> Void
    ) {
      (self.blamed, self.code, self.change) = (blamed, code, change)
    }

    static func shape(_ name: String, _ index: Int, _ shape: [Int]) -> Fault {
      Fault(name, .invalidShape) { inputs, _ in
        inputs[index] = try iota(shape, index == 4 ? .int32 : .float32)
      }
    }

    static func attribute(_ name: String, _ value: AttributeValue) -> Fault {
      Fault(name, .invalidArgument) { _, attributes in attributes[name] = value }
    }
  }

  /// Of an LSTM of 3 steps, a batch of 2, 4 inputs and a state of 5.
  static let faults: [Fault] = [
    .shape("X", 0, [3, 2]), .shape("X", 0, [0, 2, 4]), .shape("X", 0, [3, 0, 4]),
    .shape("W", 1, [1, 20, 3]), .shape("W", 1, [2, 20, 4]), .shape("W", 1, [1, 19, 4]),
    .shape("R", 2, [1, 20, 4]), .shape("R", 2, [1, 16, 4]), .shape("R", 2, [20, 5]),
    .shape("B", 3, [1, 20]), .shape("B", 3, [40]), .shape("sequence_lens", 4, [3]),
    .shape("sequence_lens", 4, [1, 2]), .shape("initial_h", 5, [1, 3, 5]),
    .shape("initial_c", 6, [2, 1, 5]), .shape("P", 7, [1, 20]),
    Fault("W", .invalidDType) { inputs, _ in inputs[1] = try iota([1, 20, 4], .float64) },
    Fault("X", .invalidDType) { inputs, _ in inputs[0] = try iota([3, 2, 4], .int32) },
    Fault("sequence_lens", .invalidDType) { inputs, _ in inputs[4] = try ints([1, 2]) },
    Fault("sequence_lens", .invalidArgument) { inputs, _ in
      inputs[4] = try tensor([1, 4], nil, .int32)
    },
    Fault("sequence_lens", .invalidArgument) { inputs, _ in
      inputs[4] = try tensor([-1, 1], nil, .int32)
    },
    Fault("W", .invalidShape) { _, attributes in attributes["hidden_size"] = .int(4) },
    Fault("W", .invalidShape) { _, attributes in attributes["hidden_size"] = .int(.max) },
    Fault("W", .invalidShape) { _, attributes in
      attributes["direction"] = .string("bidirectional")
    },
    Fault("initial_h", .invalidShape) { inputs, attributes in
      attributes["layout"] = .int(1)
      inputs[0] = try iota([2, 3, 4])
    },
    .attribute("hidden_size", .int(0)), .attribute("direction", .string("FORWARD")),
    .attribute("layout", .int(2)), .attribute("clip", .float(0)),
    .attribute("clip", .float(.nan)), .attribute("activations", .strings(["Tanh"])),
    .attribute("activations", .strings(["Sigmoid", "Tanh", "Gelu"])),
    .attribute("activations", .ints([1, 2, 3])),
  ]

  private func lstm() throws -> (inputs: [Tensor?], attributes: [String: AttributeValue]) {
    let inputs: [Tensor?] = [
      try iota([3, 2, 4]), try iota([1, 20, 4]), try iota([1, 20, 5]), try iota([1, 40]),
      try tensor([3, 1], nil, .int32), try iota([1, 2, 5]), try iota([1, 2, 5]), try iota([1, 15]),
    ]
    return (inputs, [:])
  }

  @Test("what contradicts itself is named, in a run and before", arguments: faults)
  func named(_ fault: Fault) throws {
    var (inputs, attributes) = try lstm()
    try fault.change(&inputs, &attributes)
    let error = try #require(throws: MartletError.self) {
      try run("LSTM", inputs, attributes, outputs: 3)
    }
    #expect(error.code == fault.code && error.operatorName == "LSTM", "\(error)")
    #expect(error.message.hasPrefix("LSTM: ") && error.message.contains(fault.blamed), "\(error)")
    let types = inputs.map { tensor in
      tensor.map {
        ValueType(dtype: $0.dtype, shape: $0.shape.map { .known($0) }, constant: $0)
      }
    }
    #expect(throws: MartletError.self) { try infer("LSTM", types, attributes, outputs: 3) }
  }

  @Test("the sound call runs") func sound() throws {
    let (inputs, attributes) = try lstm()
    #expect(try run("LSTM", inputs, attributes, outputs: 3).count == 3)
  }

  @Test("a message says what was expected and what was got") func message() throws {
    var (inputs, attributes) = try lstm()
    attributes["hidden_size"] = .int(6)
    inputs[1] = nil
    let error = try #require(throws: MartletError.self) { try run("LSTM", inputs, attributes) }
    #expect(error.input == "W")
    inputs[1] = try iota([1, 20, 4])
    let second = try #require(throws: MartletError.self) { try run("LSTM", inputs, attributes) }
    #expect(second.message == "LSTM: W: expected [1, 24, 4], got [1, 20, 4]")
  }

  @Test("RNN reads over a second direction's function and a negative clip, as ONNX Runtime does")
  func lenient() throws {
    let inputs: [Tensor?] = [try iota([2, 1, 1]), try iota([1, 1, 1]), try iota([1, 1, 1])]
    let attributes: [String: AttributeValue] = [
      "activations": .strings(["RELU", "Tanh"]), "clip": .float(-1),
    ]
    #expect(try values("RNN", inputs, attributes) == [0, 0])
    #expect(throws: MartletError.self) {
      try run("GRU", inputs, ["activations": .strings(["Relu", "Tanh", "Relu", "Tanh"])])
    }
  }

  @Test("a row of length 0 ends in zeros, whatever it began with") func empty() throws {
    var (inputs, attributes) = try lstm()
    inputs[4] = try tensor([0, 0], nil, .int32)
    for direction in ["forward", "reverse"] {
      attributes["direction"] = .string(direction)
      for result in try run("LSTM", inputs, attributes, outputs: 3) {
        #expect(result.values.allSatisfy { $0 == 0 })
      }
    }
  }

  @Test("symbols and what is unknown go through") func symbols() throws {
    let x = ValueType(dtype: .float32, shape: [.symbol("t"), .symbol("n"), .known(4)])
    let r = ValueType(dtype: .float32, shape: [.known(2), .unknown, .known(5)])
    let types = try infer(
      "LSTM", [x, .unknown(), r], ["direction": .string("bidirectional")], outputs: 3)
    #expect(types[0].shape == [.symbol("t"), .known(2), .symbol("n"), .known(5)])
    #expect(types[1].shape == [.known(2), .symbol("n"), .known(5)])
    #expect(types[2].dtype == .float32)
    let nothing = try infer("GRU", [.unknown(), .unknown(), .unknown()])
    #expect(nothing[0].shape == [.unknown, .known(1), .unknown, .unknown])
  }
}
