import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct GraphTextTests {
  /// Something of everything.
  private func sample() throws -> Graph {
    var graph = Graph(name: "main \"quoted\"\n\u{1}")
    let condition = graph.addInput("c", .bool, [])
    let past = Dimension.symbol("past")
    let x = graph.addInput(
      "x", .float32, [.symbol("batch size"), Inference.plus(past, .known(1)), .known(4)])
    graph.inputs.append(
      graph.addValue(
        "shape",
        ValueType(
          dtype: .int64, shape: [.known(4)],
          elements: [past, .known(.min), .unknown, Inference.divided(past, by: 2)])))
    graph.inputs.append(graph.addValue("anything"))
    let w = try graph.weight("w", [2, 2], [0.1, -0.0, .infinity, .nan])
    let large = graph.addConstant("large", try .noise([40, 50]))
    let sum = graph.addNode(
      "Custom op", name: "", inputs: [x, nil, w, large], outputs: ["sum", "second"],
      attributes: [
        "alpha": .float(1), "odd": .float(Float(bitPattern: 0x7fc0_1234)), "count": .int(.min),
        "text": .string("a \"b\" \\ \r\n\u{2028}é"), "none": .ints([]), "no floats": .floats([]),
        "nothing": .strings([]), "list": .ints([1, -2]),
        "floats": .floats([.leastNonzeroMagnitude, 3, .nan]),
        "texts": .strings(["", "_"]), "large": .tensor(try .noise([40, 50])),
        "small": .tensor(try .int64s([1, -1])), "empty": .tensor(try .int64s([])),
      ])
    graph.nodes[0].fused = ["a", "b\""]
    let shared = try #require(graph.values[large].constant)
    let branch = Graph.region("then_branch", captures: [sum[0]]) { inner, inputs in
      [inner.node("Add", [inputs[0], inner.addConstant("large", shared)])]
    }
    graph.output(try graph.choice(condition, [branch]))
    graph.outputs.append(
      GraphOutput(
        name: "again", value: sum[1], declared: ValueType(dtype: .int8, shape: [.symbol("n")])))
    return graph
  }

  @Test("operators of other domains than ONNX's own stand with their domain")
  func domains() throws {
    var graph = Graph(name: "main")
    let x = graph.addInput("x", .float32, [.known(2)])
    let ops: [(OperatorID, String)] = [
      (.martlet("Silu"), "ai.martlet.Silu"), (OperatorID("Silu"), "Silu"),
      (OperatorID("a.b"), "\"a.b\""), (OperatorID("b", domain: "a"), "a.b"),
      (OperatorID("c", domain: "a.b"), "a.b.c"), (OperatorID("b.c", domain: "a"), "\"a\".\"b.c\""),
      (OperatorID("", domain: "a"), "\"a\".\"\""),
      (OperatorID("x y", domain: "a"), "\"a\".\"x y\""),
      (OperatorID("b", domain: "my domain"), "\"my domain\".\"b\""),
      (OperatorID("1", domain: "a"), "\"a\".\"1\""), (OperatorID("_"), "\"_\""),
    ]
    for (op, _) in ops { graph.addNode(op, name: "", inputs: [x], outputs: ["y"]) }
    for (line, (_, text)) in zip(graph.description.split(separator: "\n").dropFirst(2), ops) {
      #expect(line.contains(" = \(text)(%0)"), "\(line)")
    }
    try graph.expectRoundTrip()
    #expect(try Graph(parsing: graph.description).nodes.map(\.op) == ops.map(\.0))
    for wrong in ["a..", "a.1", ".a", "\"a\"."] {
      #expect(throws: MartletError.self) {
        try Graph(parsing: "graph \"g\"\nnode \"\": = \(wrong)() :")
      }
    }
  }

  @Test("a graph reads as documented") func reading() throws {
    var graph = Graph(name: "main")
    let x = graph.addInput("x", .float32, [.symbol("batch"), .known(2)])
    let w = try graph.weight("w", [2], [1, -0.5])
    graph.output(graph.node("Add", [x, w]))
    graph.output(graph.node("LeakyRelu", [x], ["alpha": .float(0.25)]))
    try graph.inferTypes()
    #expect(
      graph.description == """
        graph "main"
        input %0 "x": float32[batch, 2]
        constant %1 "w": float32[2] = (1.0, -0.5)
        node "Add0": %2 "Add0" = Add(%0, %1) : float32[batch, 2]
        node "LeakyRelu1": %3 "LeakyRelu1" = LeakyRelu(%0) {alpha = 0.25} : float32[batch, 2]
        output "Add0" = %2
        output "LeakyRelu1" = %3

        """)
  }

  @Test("what is written is read back, bit by bit") func roundTrip() throws {
    let graph = try sample()
    try graph.expectRoundTrip()
    // One tensor that two graphs have is one in the table.
    #expect(graph.text.constants.count == 2)
  }

  @Test("tensors of all dtypes are read back") func dtypes() throws {
    for dtype in DType.numbers {
      for count in [0, 3, 300] {
        var graph = Graph()
        let tensor = try Tensor(uninitialized: dtype, [count])
        for byte in 0..<dtype.byteCount(of: count) {
          tensor.pointer.storeBytes(of: UInt8(byte % 251), toByteOffset: byte, as: UInt8.self)
        }
        graph.output(graph.addConstant("t", tensor))
        try graph.expectRoundTrip()
      }
    }
  }

  @Test("strings are read back, whatever is in them") func strings() throws {
    for count in [0, 1, 40] {
      var graph = Graph()
      let texts = (0..<count).map { String(repeating: "\"\\\u{0}é\n", count: $0 % 5) }
      graph.output(graph.addConstant("t", try Tensor(strings: texts, [count])))
      try graph.expectRoundTrip()
    }
  }

  @Test("random graphs are read back", arguments: 0..<60) func random(_ seed: Int) throws {
    var random = RandomGraph(seed: seed)
    try random.graph(captured: 0, depth: 0).expectRoundTrip()
  }

  @Test("faults are named with line and column") func faults() {
    func message(_ text: String) -> String {
      martletError { _ = try Graph(parsing: text) }?.message ?? ""
    }
    #expect(message("") == "line 1, column 1: expected 'graph', got the end of the line")
    #expect(message("graph main").hasPrefix("line 1, column 7: expected the graph's name"))
    let head = "graph \"g\"\ninput %0 \"x\": float32[2]\n"
    #expect(
      message(head + "input %0 \"y\": ?").hasPrefix("line 3, column 7: expected a value that no"))
    #expect(
      message(head + "output \"y\" = %1").hasPrefix("line 3, column 14: expected a value that a"))
    #expect(
      message(head + "input %1 \"y\": float33").hasPrefix("line 3, column 15: expected a dtype"))
    #expect(message(head + "  output \"y\" = %0").hasPrefix("line 3, column 1: expected the end"))
    #expect(
      message(head + "node \"n\": %1 \"y\" = Neg(%0)").hasPrefix("line 3, column 27: expected ':'"))
    #expect(message(head + "constant %1 \"c\": int64[2] = (1)").contains("16 bytes"))
    #expect(message(head + "constant %1 \"c\": int64[2] = #0").contains("one of 0 constants"))
    #expect(
      message(head + "node \"n\": %1 \"y\" = Neg(%0) {a = 1, a = 2} : ?").contains("another name"))
    #expect(message(head + "input %1 \"y\": int8[999999999999999999999]").contains("a number"))
    #expect(
      message(head + "input %1 \"y\": int8[" + String(repeating: "(", count: 9999)).contains("("))
    var nested = ""
    for depth in 0..<70 {
      let indent = String(repeating: "    ", count: depth)
      nested +=
        "\(indent)graph \"g\"\n\(indent)node \"n\":  = If() : \n\(indent)  region \"r\" ()\n"
    }
    #expect(message(nested).contains("64"))
  }

  @Test("damaged text is refused or read, without a trap", arguments: 0..<4)
  func damage(_ seed: Int) throws {
    let written = try sample().text
    let original = Array(written.text.unicodeScalars)
    var random = RandomSource(seed: seed)
    let marks = Array("%\"()[]{}=:,+-*/?_#. \n019an\\u".unicodeScalars)
    for _ in 0..<400 {
      var text = original
      for _ in 0...random.next(3) where !text.isEmpty {
        let place = random.next(text.count)
        switch random.next(6) {
        case 0: text.remove(at: place)
        case 1: text[place] = marks[random.next(marks.count)]
        case 2: text.insert(marks[random.next(marks.count)], at: place)
        case 3: text.removeSubrange(place..<min(text.count, place + random.next(60)))
        case 4: text.removeSubrange(place...)
        default:
          text.insert(
            contentsOf: text[place..<min(text.count, place + random.next(200))],
            at: random.next(text.count))
        }
      }
      let damaged = String(String.UnicodeScalarView(text))
      guard let graph = try? Graph(parsing: damaged, constants: written.constants) else { continue }
      try graph.verify(types: false)
      try graph.expectRoundTrip()
    }
  }
}
