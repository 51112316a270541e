import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

/// Operators in the forms of older opsets, against results worked out by hand.
@Suite struct OlderFormsTests {
  private typealias Attribute = (String, ONNXEncoder.Attribute)

  /// Runs one node of x: [2, 3] = 1…6 and gives its outputs.
  private func run(
    _ operatorType: String, opset: Int, _ attributes: [Attribute] = [], outputs: Int = 1,
    shape: [Int] = [2, 3], more: [(String, Message)] = []
  ) throws -> [Tensor] {
    let names = (0..<outputs).map { "y\($0)" }
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node(
          operatorType, ["x"] + more.map(\.0), names, name: "node", attributes)
      ],
      inputs: [ONNXEncoder.value("x", 1, shape.map { "\($0)" })],
      outputs: names.map { ONNXEncoder.value($0, 0, nil) }, initializers: more.map(\.1))
    let x = try Tensor.floats(shape, [1, 2, 3, 4, 5, 6])
    return try Model.load(ONNXEncoder.model(graph, opset: opset)).makeRun().run([x])
  }

  @Test("axes as attributes: Squeeze, Unsqueeze and the reductions")
  func axes() throws {
    #expect(try run("Unsqueeze", opset: 11, [("axes", .ints([0, 2]))])[0].shape == [1, 2, 1, 3])
    #expect(try run("Squeeze", opset: 11, [("axes", .ints([0]))], shape: [1, 6])[0].shape == [6])
    #expect(try run("ReduceSum", opset: 11, [("axes", .ints([1]))])[0].floats == [6, 15])
    #expect(
      try run("ReduceMax", opset: 13, [("axes", .ints([0])), ("keepdims", .int(0))])[0].floats
        == [4, 5, 6])
    #expect(try run("ReduceMean", opset: 1)[0].floats == [3.5])
  }

  @Test("bounds, widths, sizes and ranges as attributes: Clip, Pad, Split, Slice, TopK, Reshape")
  func attributes() throws {
    #expect(
      try run("Clip", opset: 6, [("min", .float(2)), ("max", .float(4))])[0].floats
        == [2, 2, 3, 4, 4, 4])
    #expect(try run("Clip", opset: 6, [("max", .float(4))])[0].floats == [1, 2, 3, 4, 4, 4])
    #expect(
      try run("Pad", opset: 2, [("pads", .ints([0, 1, 0, 0])), ("value", .float(9))])[0].floats
        == [9, 1, 2, 3, 9, 4, 5, 6])
    #expect(try run("Pad", opset: 1, [("paddings", .ints([0, 0, 1, 0]))])[0].shape == [3, 3])
    let parts = try run(
      "Split", opset: 11, [("axis", .int(1)), ("split", .ints([1, 2]))], outputs: 2)
    #expect(parts.map(\.floats) == [[1, 4], [2, 3, 5, 6]])
    #expect(try run("Split", opset: 13, outputs: 2).map(\.floats) == [[1, 2, 3], [4, 5, 6]])
    #expect(
      try run(
        "Slice", opset: 9, [("starts", .ints([1])), ("ends", .ints([99])), ("axes", .ints([1]))])[0]
        .floats == [2, 3, 5, 6])
    #expect(try run("TopK", opset: 1, [("k", .int(2))], outputs: 2)[0].floats == [3, 2, 6, 5])
    #expect(try run("Reshape", opset: 1, [("shape", .ints([3, 2]))])[0].shape == [3, 2])
  }

  @Test("parts of a Split that nobody reads are parts all the same")
  func unreadParts() throws {
    for (opset, attributes) in [(11, []), (18, [("num_outputs", ONNXEncoder.Attribute.int(3))])] {
      let graph = ONNXEncoder.graph(
        [
          ONNXEncoder.node("Split", ["x"], ["", "y", ""], [("axis", .int(1))] + attributes)
        ],
        inputs: [ONNXEncoder.value("x", 1, ["2", "3"])],
        outputs: [ONNXEncoder.value("y", 1, nil)])
      let session = try Model.load(ONNXEncoder.model(graph, opset: opset)).makeRun()
      #expect(try session.run([.floats([2, 3], [1, 2, 3, 4, 5, 6])])[0].floats == [2, 5])
    }
  }

  @Test("GroupNormalization before opset 21 shifts per group, however many channels there are")
  func groupNormalization() throws {
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node(
          "GroupNormalization", ["x", "s", "b"], ["y"], [("num_groups", .int(2))])
      ],
      inputs: [ONNXEncoder.value("x", 1, ["n", "c", "w"])],
      outputs: [ONNXEncoder.value("y", 1, nil)],
      initializers: [
        ONNXEncoder.floats("s", [2], [1, 2]), ONNXEncoder.floats("b", [2], [0, 10]),
      ])
    let session = try Model.load(ONNXEncoder.model(graph, opset: 18)).makeRun()
    let y = try session.run([.floats([1, 4, 1], [-1, 1, -1, 1])])[0].floats
    #expect(zip(y, [-1, 1, 8, 12] as [Float]).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  @Test("Softmax before opset 13 keeps extents of 0")
  func emptySoftmax() throws {
    let empty = try run("Softmax", opset: 9, [("axis", .int(0))], shape: [2, 0, 3, 0])[0]
    #expect(empty.shape == [2, 0, 3, 0])
  }

  @Test("Softmax before opset 13 sees a matrix split before its axis")
  func softmax() throws {
    let flat = try run("Softmax", opset: 11, [("axis", .int(1))], shape: [1, 2, 3])[0]
    #expect(flat.shape == [1, 2, 3])
    #expect(abs(flat.floats.reduce(0, +) - 1) < 1e-6)
    let last = try run("Softmax", opset: 13, shape: [1, 2, 3])[0]
    #expect(abs(last.floats.reduce(0, +) - 2) < 1e-6)
  }

  @Test("broadcasting from an axis on, before opset 7")
  func legacyBroadcast() throws {
    let column = ONNXEncoder.floats("c", [2], [10, 20])
    #expect(
      try run("Add", opset: 6, [("broadcast", .int(1)), ("axis", .int(0))], more: [("c", column)])[
        0
      ].floats == [11, 12, 13, 24, 25, 26])
  }

  @Test("Dropout passes its input on, with a mask that is all true")
  func dropout() throws {
    let results = try run("Dropout", opset: 12, outputs: 2)
    #expect(results[0].floats == [1, 2, 3, 4, 5, 6])
    #expect(results[1].dtype == .bool)
    #expect((0..<6).allSatisfy { results[1].typed(UInt8.self)[$0] == 1 })
  }

  @Test("Dropout that may train asks in the run")
  func trainingFlag() throws {
    let graph = ONNXEncoder.graph(
      [ONNXEncoder.node("Dropout", ["x", "", "t"], ["y"], name: "node")],
      inputs: [ONNXEncoder.value("x", 1, ["2"]), ONNXEncoder.value("t", 9, [])],
      outputs: [ONNXEncoder.value("y", 1, nil)])
    let session = try Model.load(ONNXEncoder.model(graph)).makeRun()
    let flag = try Tensor(uninitialized: .bool, [])
    flag.typed(UInt8.self)[0] = 0
    #expect(try session.run([.floats([2], [1, 2]), flag])[0].floats == [1, 2])
    flag.typed(UInt8.self)[0] = 1
    let dropped = try session.run([.floats([2], [1, 2]), flag])[0].floats
    #expect(zip(dropped, [Float(2), 4]).allSatisfy { $0 == 0 || $0 == $1 })
  }

  @Test("Cast to a type in words; Upsample by scales")
  func others() throws {
    #expect(try run("Cast", opset: 1, [("to", .string("DOUBLE"))])[0].dtype == .float64)
    let scales = ONNXEncoder.floats("s", [4], [1, 1, 2, 1])
    let rows = try run("Upsample", opset: 9, shape: [1, 1, 2, 3], more: [("s", scales)])[0]
    #expect(rows.floats == [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6])
  }

  @Test("BatchNormalization before opset 14 trains where it gives running statistics")
  func training() throws {
    let ones = ONNXEncoder.floats("w", [3], [1, 1, 1])
    func model(_ outputs: [String]) -> Message {
      ONNXEncoder.graph(
        [
          ONNXEncoder.node(
            "BatchNormalization", ["x", "w", "w", "w", "w"], outputs, name: "node",
            [("momentum", .float(0.5)), ("epsilon", .float(0))])
        ],
        inputs: [ONNXEncoder.value("x", 1, ["2", "3"])],
        outputs: outputs.filter { !$0.isEmpty }.map { ONNXEncoder.value($0, 1, nil) },
        initializers: [ones])
    }
    let session = try Model.load(
      ONNXEncoder.model(model(["y", "mean", "var"]), opset: 8)
    ).makeRun()
    let results = try session.run([.floats([2, 3], [1, 2, 3, 3, 6, 9])])
    #expect(results[0].floats == [0, 0, 0, 2, 2, 2])
    #expect(results[1].floats == [1.5, 2.5, 3.5])
    #expect(results[2].floats == [1, 2.5, 5])
    let saved = martletError {
      _ = try Model.load(ONNXEncoder.model(model(["y", "mean", "var", "s"]), opset: 8))
    }
    #expect(saved?.code == .unsupported && saved?.node == "node")
    let planes = martletError {
      _ = try run("BatchNormalization", opset: 7, [("spatial", .int(0))])
    }
    #expect(planes?.code == .unsupported && planes?.node == "node")
  }

  @Test("operators of training are refused by that name") func trainingOperators() {
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node(
          "Momentum", ["x", "x", "x"], ["y"], name: "step", domain: "ai.onnx.preview.training")
      ],
      inputs: [ONNXEncoder.value("x", 1, ["2"])], outputs: [ONNXEncoder.value("y", 1, nil)])
    let error = martletError { _ = try Model.load(ONNXEncoder.model(graph)) }
    #expect(error?.code == .unsupported && error?.node == "step")
    #expect(error?.message.contains("operators of training are not run") == true)
  }

  @Test("LabelEncoder-1 counts its strings, in both directions; LabelEncoder-2 takes first keys")
  func labelEncoder() throws {
    let domain = "ai.onnx.ml"
    func int64s(_ values: [Int64]) throws -> Tensor {
      let tensor = try Tensor(uninitialized: .int64, [values.count])
      for (index, value) in values.enumerated() { tensor.typed(Int64.self)[index] = value }
      return tensor
    }
    func labels(
      _ version: Int, _ attributes: [(String, ONNXEncoder.Attribute)], _ type: Int, _ result: Int
    ) throws -> Model {
      let graph = ONNXEncoder.graph(
        [ONNXEncoder.node("LabelEncoder", ["x"], ["y"], domain: domain, attributes)],
        inputs: [ONNXEncoder.value("x", type, ["n"])],
        outputs: [ONNXEncoder.value("y", result, nil)])
      return try Model.load(ONNXEncoder.model(graph, domains: [domain], version: version))
    }
    let classes: [(String, ONNXEncoder.Attribute)] = [("classes_strings", .strings(["a", "b"]))]
    let texts = try Tensor(strings: ["b", "c", "a"], [3])
    let numbers = try labels(1, classes, 8, 7).makeRun().run([texts])[0]
    #expect((0..<3).map { numbers.typed(Int64.self)[$0] } == [1, -1, 0])
    let back = try labels(1, classes, 7, 8).makeRun().run([int64s([1, 5])])[0]
    #expect(back.strings == ["b", "_Unused"])
    let twice: [(String, ONNXEncoder.Attribute)] = [
      ("keys_int64s", .ints([1, 1])), ("values_floats", .floats([0.5, 0.75])),
    ]
    #expect(try labels(2, twice, 7, 1).makeRun().run([int64s([1])])[0].floats == [0.5])
    #expect(try labels(4, twice, 7, 1).makeRun().run([int64s([1])])[0].floats == [0.75])
  }

  @Test("If with a condition that is known takes its branch")
  func constantIf() throws {
    func branch(_ operatorType: String) -> Message {
      ONNXEncoder.graph(
        [ONNXEncoder.node(operatorType, ["x"], ["r"])], outputs: [ONNXEncoder.value("r", 1, nil)])
    }
    for flag in [UInt8(0), 1] {
      let graph = ONNXEncoder.graph(
        [
          ONNXEncoder.node(
            "If", ["c"], ["y"],
            [("then_branch", .graph(branch("Neg"))), ("else_branch", .graph(branch("Abs")))])
        ],
        inputs: [ONNXEncoder.value("x", 1, ["2"])], outputs: [ONNXEncoder.value("y", 1, nil)],
        initializers: [ONNXEncoder.tensor("c", 9, [], raw: [flag])])
      let session = try Model.load(ONNXEncoder.model(graph)).makeRun()
      let y = try session.run([Tensor.floats([2], [1, 2])])[0]
      #expect(y.floats == (flag == 1 ? [-1, -2] : [1, 2]))
    }
  }

  @Test("a model-local function takes the place of its call, attributes and all")
  func functions() throws {
    let function = Message.build {
      $0.string(1, "ScaleUp")
      $0.string(4, "a")
      $0.string(5, "b")
      $0.string(6, "to")
      $0.message(
        7,
        Message.build { node in
          node.string(1, "a")
          node.string(2, "b")
          node.string(4, "Cast")
          node.message(
            5,
            Message.build {
              $0.string(1, "to")
              $0.string(21, "to")
              $0.integer(20, 2)
            })
        })
      $0.message(9, Message.build { $0.integer(2, 21) })
      $0.string(10, "mine")
    }
    let graph = ONNXEncoder.graph(
      [ONNXEncoder.node("ScaleUp", ["x"], ["y"], domain: "mine", [("to", .int(11))])],
      inputs: [ONNXEncoder.value("x", 1, ["2"])], outputs: [ONNXEncoder.value("y", 0, nil)])
    let bytes = ONNXEncoder.model(graph, domains: ["mine"], functions: [function])
    let y = try Model.load(bytes).makeRun().run([Tensor.floats([2], [1, 2])])[0]
    #expect(y.dtype == .float64)
  }

  /// A function of domain "mine": Clip of a by lo and hi, or any operator of a alone.
  private func function(
    _ name: String, overload: String = "", _ operatorType: String, _ inputs: [String]
  ) -> Message {
    Message.build {
      $0.string(1, name)
      for input in inputs { $0.string(4, input) }
      $0.string(5, "b")
      $0.message(7, ONNXEncoder.node(operatorType, inputs, ["b"]))
      $0.message(9, Message.build { $0.integer(2, 21) })
      $0.string(10, "mine")
      if !overload.isEmpty { $0.string(13, overload) }
    }
  }

  @Test("inputs that a function's caller leaves out are left out inside")
  func absentFunctionInputs() throws {
    let bound = ONNXEncoder.floats("two", [], [2])
    for (inputs, expected) in [(["x"], [1, 2, 3]), (["x", "", "two"], [1, 2, 2])] {
      let graph = ONNXEncoder.graph(
        [ONNXEncoder.node("Bound", inputs, ["y"], domain: "mine")],
        inputs: [ONNXEncoder.value("x", 1, ["3"])], outputs: [ONNXEncoder.value("y", 1, nil)],
        initializers: [bound])
      let bytes = ONNXEncoder.model(
        graph, domains: ["mine"], functions: [function("Bound", "Clip", ["a", "lo", "hi"])])
      #expect(
        try Model.load(bytes).makeRun().run([.floats([3], [1, 2, 3])])[0].floats
          == expected.map { Float($0) })
    }
  }

  @Test("a node names which of several functions of one name it calls")
  func overloads() throws {
    var node = ONNXEncoder.node("F", ["x"], ["y"], domain: "mine")
    node.string(8, "second")
    let graph = ONNXEncoder.graph(
      [node], inputs: [ONNXEncoder.value("x", 1, ["2"])],
      outputs: [ONNXEncoder.value("y", 1, nil)])
    let bytes = ONNXEncoder.model(
      graph, domains: ["mine"],
      functions: [
        function("F", overload: "first", "Relu", ["a"]),
        function("F", overload: "second", "Neg", ["a"]),
      ])
    #expect(try Model.load(bytes).makeRun().run([.floats([2], [1, 2])])[0].floats == [-1, -2])
  }
}
