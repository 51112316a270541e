import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct ControlFlowTests {
  private static func flag(_ value: Bool) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .bool, [])
    tensor.typed(UInt8.self)[0] = value ? 1 : 0
    return tensor
  }

  private static func integer(_ value: Int) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .int64, [])
    tensor.typed(Int64.self)[0] = Int64(value)
    return tensor
  }

  @Test("the branch that the condition says runs, with values from around it")
  func branches() throws {
    var graph = Graph()
    let cond = graph.addInput("cond", .bool, [])
    let x = graph.addInput("x", .float32, [.symbol("n")])
    let branches = [("else_branch", "Neg"), ("then_branch", "Abs")].map { name, operatorName in
      Graph.region(name, captures: [x]) { [$0.node(operatorName, [$1[0]])] }
    }
    let result = graph.addNode(
      "If", name: "if", inputs: [cond], outputs: ["y"], regions: branches)[0]
    graph.output(graph.node("Neg", [result]))
    try graph.inferTypes()
    #expect(graph.values[result].type.text == "float32[n]")
    let input = try Tensor.floats([2], [-3, 4])
    #expect(try graph.run([try Self.flag(true), input])[0].floats == [-3, -4])
    #expect(try graph.run([try Self.flag(false), input])[0].floats == [-3, 4])
    // One executor, branches in turn: what was laid out for one run holds in the next.
    let executor = Executor(try Plan(graph))
    for round in 0..<6 {
      let values = try executor.run([try Self.flag(round % 2 == 0), input])[0].floats
      #expect(values == (round % 2 == 0 ? [-3, -4] : [-3, 4]))
    }
  }

  /// state = state + x, `count` times at most and while state[0] < limit; each state is an output.
  private static func loop() throws -> Graph {
    var graph = Graph()
    let count = graph.addInput("count", .int64, [])
    let cond = graph.addInput("cond", .bool, [])
    let state = graph.addInput("state", .float32, [.known(2)])
    let x = graph.addInput("x", .float32, [.known(2)])
    let limit = graph.addInput("limit", .float32, [])
    let body = Graph.region("body", formals: 3, captures: [x, limit]) { inner, values in
      let sum = inner.node("Add", [values[2], values[3]])
      let largest = inner.node("ReduceMax", [sum], ["keepdims": .int(0)])
      return [inner.node("Less", [largest, values[4]]), sum, inner.node("Neg", [sum])]
    }
    let outputs = graph.addNode(
      "Loop", name: "loop", inputs: [count, cond, state], outputs: ["last", "all"],
      regions: [body])
    for output in outputs { graph.output(output) }
    try graph.inferTypes()
    return graph
  }

  @Test("a loop ends by its count or its condition, and stacks what it gives")
  func loops() throws {
    let graph = try Self.loop()
    let (zero, one) = (try Tensor.floats([2], [0, 0]), try Tensor.floats([2], [1, 2]))
    func run(_ count: Int, _ cond: Bool, _ limit: Float) throws -> [Tensor] {
      try graph.run([
        try Self.integer(count), try Self.flag(cond), zero, one, try Tensor.floats([], [limit]),
      ])
    }
    let counted = try run(3, true, 1000)
    #expect(counted[0].floats == [3, 6])
    #expect(counted[1].shape == [3, 2])
    #expect(counted[1].floats == [-1, -2, -2, -4, -3, -6])
    #expect(try run(1_000, true, 5)[0].floats == [3, 6])
    for none in [try run(0, true, 9), try run(5, false, 9)] {
      #expect(none[0].floats == [0, 0])
      #expect(none[1].shape == [0, 2])
    }
    // 2^63 - 1 iterations are a matter of the condition alone.
    #expect(try run(Int.max, true, 100)[0].floats == [50, 100])
  }

  @Test("a loop that goes on for ever can be stopped") func cancelled() throws {
    let executor = Executor(try Plan(try Self.loop()))
    let inputs = [
      try Self.integer(Int.max), try Self.flag(true), try Tensor.floats([2], [0, 0]),
      try Tensor.floats([2], [0, 0]), try Tensor.floats([], [1]),
    ]
    var calls = 0
    let error = martletError {
      _ = try executor.run(inputs) { _ in
        calls += 1
        return calls < 5
      }
    }
    #expect(error?.code == .cancelled)
    #expect(calls == 5)
  }

  @Test("carried values may change shape, not dtype") func carried() throws {
    var graph = Graph()
    let count = graph.addInput("count", .int64, [])
    let state = graph.addInput("state", .float32, [.known(1)])
    let body = Graph.region("body", formals: 3) { inner, values in
      [values[1], inner.node("Concat", [values[2], values[2]], ["axis": .int(0)])]
    }
    let last = graph.addNode(
      "Loop", name: "loop", inputs: [count, nil, state], outputs: ["last"], regions: [body])[0]
    graph.output(last)
    try graph.inferTypes()
    #expect(graph.values[last].type.text == "float32[?]")
    let result = try graph.run([try Self.integer(4), try Tensor.floats([1], [7])])[0]
    #expect(result.floats == [Float](repeating: 7, count: 16))

    var wrong = Graph()
    let x = wrong.addInput("x", .float32, [.known(1)])
    let casting = Graph.region("body", formals: 3) { inner, values in
      [values[1], inner.node("Cast", [values[2]], ["to": .int(Int(DType.int32.rawValue))])]
    }
    wrong.output(
      wrong.addNode(
        "Loop", name: "loop", inputs: [nil, nil, x], outputs: ["last"], regions: [casting])[0])
    let error = martletError { try wrong.inferTypes() }
    #expect(error?.code == .invalidDType)
    #expect(error?.node == "loop")
  }

  @Test("a scan takes slices and stacks them, along any axis and in both directions")
  func scans() throws {
    var graph = Graph()
    let state = graph.addInput("state", .float32, [.known(2)])
    let x = graph.addInput("x", .float32, [.known(2), .known(3)])
    let body = Graph.region("body", formals: 2) { inner, values in
      let sum = inner.node("Add", [values[0], values[1]])
      return [sum, sum]
    }
    let outputs = graph.addNode(
      "Scan", name: "scan", inputs: [state, x], outputs: ["last", "all"],
      attributes: [
        "num_scan_inputs": .int(1), "scan_input_axes": .ints([1]),
        "scan_input_directions": .ints([1]), "scan_output_axes": .ints([-1]),
        "scan_output_directions": .ints([1]),
      ], regions: [body])
    for output in outputs { graph.output(output) }
    try graph.inferTypes()
    #expect(graph.values[outputs[1]].type.text == "float32[2, 3]")
    let results = try graph.run([
      try Tensor.floats([2], [10, 20]), try Tensor.floats([2, 3], [1, 2, 3, 4, 5, 6]),
    ])
    #expect(results[0].floats == [16, 35])
    #expect(results[1].floats == [16, 15, 13, 35, 31, 26])
  }

  @Test("a run without a progress function asks none, whatever the run before had")
  func progressOfTheRunBefore() throws {
    let executor = Executor(try Plan(try Self.loop()))
    let inputs = [
      try Self.integer(20), try Self.flag(true), try Tensor.floats([2], [0, 0]),
      try Tensor.floats([2], [1, 1]), try Tensor.floats([], [100]),
    ]
    var calls = 0
    _ = try executor.run(inputs) { _ in
      calls += 1
      return true
    }
    let before = calls
    #expect(before > 0)
    #expect(try executor.run(inputs)[0].floats == [20, 20])
    #expect(calls == before)
  }

  @Test("a constant that a branch gives is copied for the caller") func constantBranch() throws {
    var graph = Graph()
    let cond = graph.addInput("cond", .bool, [])
    let weights = [try Tensor.floats([2], [1, 2]), try Tensor.floats([2], [3, 4])]
    let branches = zip(["else_branch", "then_branch"], weights).map { name, weight in
      Graph.region(name) { inner, _ in [inner.addConstant("w", weight)] }
    }
    graph.output(
      graph.addNode("If", name: "if", inputs: [cond], outputs: ["y"], regions: branches)[0])
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for _ in 0..<3 {
      let result = try executor.run([try Self.flag(true)])[0]
      #expect(result.floats == [3, 4])
      #expect(!weights.contains { $0.overlaps(result) })
      result.typed(Float.self)[0] = 9
    }
  }

  @Test("a scan whose state passes through untouched now and then runs in every run")
  func dataDependentScan() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(1)])
    let start = graph.node("Relu", [x])
    let steps = graph.addConstant("steps", try Tensor.floats([3], [0, 0, 0]))
    let body = try Graph.region("body", formals: 2) { inner, values in
      let large = inner.node(
        "Greater", [values[0], inner.addConstant("t", try .floats([1], [10]))])
      let keep = Graph.region("then_branch", captures: [values[0]]) { [$1[0]] }
      let grow = Graph.region("else_branch", captures: [values[0]]) { deep, captured in
        [deep.node("Add", [captured[0], captured[0]])]
      }
      return [
        inner.addNode(
          "If", name: "if", inputs: [large], outputs: ["next"], regions: [grow, keep])[0]
      ]
    }
    let last = graph.addNode(
      "Scan", name: "scan", inputs: [start, steps], outputs: ["last"],
      attributes: ["num_scan_inputs": .int(1)], regions: [body])[0]
    graph.output(graph.node("Neg", [last]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for (value, expected) in [(20, -20), (20, -20), (1, -8), (3, -12), (20, -20)]
      as [(Float, Float)]
    {
      #expect(try executor.run([try Tensor.floats([1], [value])])[0].floats == [expected])
    }
  }

  @Test("what a loop hands from value to value is known of none of them") func shifting() throws {
    var graph = Graph()
    let count = graph.addInput("count", .int64, [])
    let x = graph.addInput("x", .float32, [.known(2)])
    let body = Graph.region("body", formals: 6) { inner, values in
      [
        values[1], values[3], values[4], values[5],
        inner.node("Concat", [values[5], values[5]], ["axis": .int(0)]),
      ]
    }
    let last = graph.addNode(
      "Loop", name: "loop", inputs: [count, nil, x, x, x, x], outputs: ["a", "b", "c", "d"],
      regions: [body])
    graph.output(graph.node("Shape", [last[0]]))
    try graph.inferTypes()
    #expect(graph.values[last[0]].type.text == "float32[?]")
    let shapes = try graph.run([try Self.integer(5), try Tensor.floats([2], [1, 2])])
    #expect(shapes[0].typed(Int64.self)[0] == 8)
  }

  @Test("a scan of no steps gives outputs of no steps along their axes") func emptyScan() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n"), .known(3)])
    let body = Graph.region("body", formals: 1) { [$0.node("Neg", [$1[0]])] }
    graph.output(
      graph.addNode(
        "Scan", name: "scan", inputs: [x], outputs: ["y"],
        attributes: ["num_scan_inputs": .int(1), "scan_output_axes": .ints([1])],
        regions: [body])[0])
    try graph.inferTypes()
    #expect(try graph.run([try Tensor.floats([0, 3], [0])])[0].shape == [3, 0])
  }
}
