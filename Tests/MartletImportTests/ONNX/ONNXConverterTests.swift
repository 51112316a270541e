import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct ONNXConverterTests {
  private func error(_ graph: Message, opset: Int = 21, domains: [String] = []) -> MartletError? {
    martletError { _ = try Model.load(ONNXEncoder.model(graph, opset: opset, domains: domains)) }
  }

  private let x = ONNXEncoder.value("x", 1, ["2"])
  private let y = ONNXEncoder.value("y", 1, ["2"])

  @Test("operators that are missing are listed all at once, with node, domain and opset")
  func missingOperators() {
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node("NoSuch", ["x"], ["a"], name: "first"),
        ONNXEncoder.node("BeamSearch", ["a"], ["b"], name: "second", domain: "com.microsoft"),
        ONNXEncoder.node("NoSuch", ["b"], ["y"]),
      ], inputs: [x], outputs: [y])
    let error = error(graph, domains: ["com.microsoft"])
    #expect(error?.code == .unsupported)
    #expect(error?.node == "first")
    #expect(error?.operatorName == "NoSuch")
    #expect(error?.message.contains("NoSuch (domain ai.onnx, opset 21) at node 'first'") == true)
    #expect(error?.message.contains("BeamSearch (domain com.microsoft, opset 1)") == true)
  }

  @Test("a shape of more dimensions than tensors have is refused, naming the value's place")
  func ranks() {
    let most = [String](repeating: "1", count: Shape.maximumRank)
    let nodes = [ONNXEncoder.node("Relu", ["x"], ["y"])]
    let good = ONNXEncoder.graph(
      nodes, inputs: [ONNXEncoder.value("x", 1, most)], outputs: [ONNXEncoder.value("y", 1, most)])
    #expect(error(good) == nil)
    let bad = ONNXEncoder.graph(
      nodes, inputs: [ONNXEncoder.value("x", 1, most + ["1"])], outputs: [y])
    #expect(error(bad)?.code == .invalidModel)
    #expect(error(bad)?.message.contains("input[0]") == true)
    #expect(error(bad)?.message.contains("more than 32 dimensions") == true)
  }

  @Test("what only Martlet's own operators take is refused in ONNX's, naming the node")
  func extras() {
    let product = ONNXEncoder.graph(
      [ONNXEncoder.node("MatMul", ["x", "x", "x"], ["y"], name: "product")], inputs: [x],
      outputs: [y])
    #expect(error(product)?.node == "product")
    #expect(error(product)?.message.contains("MatMul: expected 2 inputs, got 3") == true)
    let image = ONNXEncoder.value("x", 1, ["1", "1", "2"])
    let convolution = ONNXEncoder.graph(
      [
        ONNXEncoder.node(
          "Conv", ["x", "x"], ["y"], name: "conv", [("activation", .string("Relu"))])
      ], inputs: [image], outputs: [y])
    #expect(error(convolution)?.node == "conv")
    #expect(error(convolution)?.message.contains("unknown attribute 'activation'") == true)
  }

  @Test("Martlet's own operators are not a file's to use")
  func ownDomain() {
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node("Relu", ["x"], ["a"], name: "first"),
        ONNXEncoder.node("Silu", ["a"], ["y"], name: "second", domain: "ai.martlet"),
      ], inputs: [x], outputs: [y])
    let error = error(graph, domains: ["ai.martlet"])
    #expect(error?.code == .unsupported)
    #expect(error?.node == "second")
    #expect(error?.operatorName == "ai.martlet.Silu")
    #expect(error?.message.contains("no file may use them") == true, "\(error?.message ?? "")")
  }

  @Test("a cycle names the nodes along it")
  func cycle() {
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node("Relu", ["x"], ["a"], name: "one"),
        ONNXEncoder.node("Add", ["a", "d"], ["b"], name: "two"),
        ONNXEncoder.node("Relu", ["b"], ["c"], name: "three"),
        ONNXEncoder.node("Relu", ["c"], ["d"], name: "four"),
      ], inputs: [x], outputs: [ONNXEncoder.value("d", 1, ["2"])])
    let error = error(graph)
    #expect(error?.code == .invalidModel)
    #expect(error?.message.contains("'two' -> 'three' -> 'four' -> 'two'") == true)
  }

  @Test("values that are made twice or not at all are refused by name")
  func names() {
    let twice = ONNXEncoder.graph(
      [ONNXEncoder.node("Relu", ["x"], ["y"]), ONNXEncoder.node("Relu", ["x"], ["y"])],
      inputs: [x], outputs: [y])
    #expect(error(twice)?.message.contains("'y' is made twice") == true)
    let shadow = ONNXEncoder.graph(
      [ONNXEncoder.node("Relu", ["x"], ["x"])], inputs: [x], outputs: [x])
    #expect(error(shadow)?.message.contains("'x' is made twice") == true)
    let unmade = ONNXEncoder.graph(
      [ONNXEncoder.node("Relu", ["q"], ["y"], name: "r")], inputs: [x], outputs: [y])
    #expect(error(unmade)?.input == "q")
    #expect(error(unmade)?.node == "r")
    let noOutput = ONNXEncoder.graph([], inputs: [x], outputs: [y])
    #expect(error(noOutput)?.input == "y")
    #expect(error(ONNXEncoder.graph([], inputs: [x, x], outputs: [x]))?.code == .invalidModel)
    #expect(error(ONNXEncoder.graph([], inputs: [x]))?.message.contains("no outputs") == true)
    let weights = [ONNXEncoder.floats("w", [1], [1]), ONNXEncoder.floats("w", [1], [1])]
    let doubled = ONNXEncoder.graph([], inputs: [x], outputs: [x], initializers: weights)
    #expect(error(doubled)?.message.contains("'w'") == true)
  }

  @Test("opsets that do not exist yet, or are not said, are refused")
  func opsets() {
    let graph = ONNXEncoder.graph(
      [ONNXEncoder.node("Relu", ["x"], ["y"])], inputs: [x], outputs: [y])
    #expect(error(graph, opset: 1000)?.code == .unsupported)
    #expect(error(graph, opset: 0)?.code == .invalidModel)
    #expect(error(graph, opset: -3)?.code == .invalidModel)
    let unsaid = Message.build {
      $0.integer(1, 8)
      $0.message(7, graph)
    }
    #expect(
      martletError { _ = try Model.load(unsaid.bytes) }?.message.contains("opset_import") == true)
  }

  @Test("sequences, optionals and maps are inputs like others")
  func inputKinds() throws {
    let tensor = Message.build { $0.message(1, Message.build { $0.integer(1, 1) }) }
    func input(_ name: String, _ type: Message) -> Message {
      Message.build {
        $0.string(1, name)
        $0.message(2, type)
      }
    }
    let sequence = Message.build { $0.message(4, Message.build { $0.message(1, tensor) }) }
    let optional = Message.build { $0.message(9, Message.build { $0.message(1, sequence) }) }
    let map = Message.build {
      $0.message(
        5,
        Message.build {
          $0.integer(1, 7)
          $0.message(2, tensor)
        })
    }
    let inputs = [input("s", sequence), input("o", optional), input("m", map)]
    let model = try Model.load(
      ONNXEncoder.model(ONNXEncoder.graph([], inputs: inputs, outputs: inputs)))
    #expect(
      model.inputs.map(\.kind.text) == [
        "sequence(float32)", "optional(sequence(float32))", "map(int64, float32)",
      ])
    var deep = tensor
    for _ in 0..<40 {
      let inner = deep
      deep = Message.build { $0.message(4, Message.build { $0.message(1, inner) }) }
    }
    let nested = input("d", deep)
    #expect(
      error(ONNXEncoder.graph([], inputs: [nested], outputs: [nested]))?.code == .invalidModel)
  }

  @Test("inputs that are sparse or opaque are unsupported, by name")
  func inputTypes() {
    let sequence = Message.build {
      $0.string(1, "s")
      $0.message(2, Message.build { $0.raw(8, []) })
    }
    let error = error(ONNXEncoder.graph([], inputs: [sequence], outputs: [sequence]))
    #expect(error?.code == .unsupported)
    #expect(error?.input == "s")
  }

  @Test("an output that is listed twice is given twice")
  func repeatedOutput() throws {
    let graph = ONNXEncoder.graph(
      [ONNXEncoder.node("Neg", ["x"], ["y"])], inputs: [x], outputs: [y, y])
    let results = try Model.load(ONNXEncoder.model(graph)).makeRun().run([.floats([2], [1, 2])])
    #expect(results.map(\.floats) == [[-1, -2], [-1, -2]])
    #expect(results[0].storage !== results[1].storage)
  }

  @Test("an initialiser of an unsupported type matters where it is read")
  func unsupportedInitializer() throws {
    let strings = Message.build {
      $0.integers(1, [1])
      $0.integer(2, 14)
      $0.string(8, "s")
    }
    let unread = ONNXEncoder.graph(
      [ONNXEncoder.node("Neg", ["x"], ["y"])], inputs: [x], outputs: [y], initializers: [strings])
    #expect(
      try Model.load(ONNXEncoder.model(unread)).makeRun().run([.floats([2], [1, 2])])[0].floats
        == [-1, -2])
    let read = ONNXEncoder.graph(
      [ONNXEncoder.node("Identity", ["s"], ["y"], name: "n")], inputs: [x], outputs: [y],
      initializers: [strings])
    #expect(error(read)?.code == .unsupported)
    #expect(error(read)?.message.contains("complex64") == true)
    #expect(error(read)?.node == "n")
  }

  @Test("an input that is also an initialiser is a constant that runs may replace")
  func overriddenInput() throws {
    let graph = ONNXEncoder.graph(
      [], inputs: [x, y], outputs: [y], initializers: [ONNXEncoder.floats("y", [2], [1, 2])])
    let model = try Model.load(ONNXEncoder.model(graph))
    #expect(model.inputs.map(\.name) == ["x"])
    #expect(model.replaceable.map(\.name) == ["y"])
  }
}
