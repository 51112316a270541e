import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct LoopTests {
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
        try Tensor.int64(count), try Tensor.flag(cond), zero, one, try Tensor.floats([], [limit]),
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
      try Tensor.int64(Int.max), try Tensor.flag(true), try Tensor.floats([2], [0, 0]),
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

  @Test("a run ends where its loops have had the iterations that it may have")
  func iterationLimit() throws {
    let executor = Executor(try Plan(try Self.loop()))
    func run(_ count: Int, limit: Int) throws -> [Float] {
      var options = RunOptions()
      options.maximumLoopIterations = limit
      let inputs = [
        try Tensor.int64(count), try Tensor.flag(true), try Tensor.floats([2], [0, 0]),
        try Tensor.floats([2], [1, 1]), try Tensor.floats([], [1e9]),
      ]
      return try executor.run(inputs, options: options)[0].floats
    }
    #expect(try run(10, limit: 10) == [10, 10])
    let error = martletError { _ = try run(11, limit: 10) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.input == "max_loop_iterations")
    #expect(error?.node == "loop")
    #expect(error?.message.contains("10") == true)
    // Each run has them anew; 0 is no limit.
    #expect(try run(10, limit: 10) == [10, 10])
    #expect(try run(100, limit: 0) == [100, 100])
  }

  @Test("a run ends where it has had the time that it may have, between iterations and nodes")
  func timeLimit() throws {
    let executor = Executor(try Plan(try Self.loop()))
    func run(_ count: Int, milliseconds: Int) throws -> [Float] {
      var options = RunOptions()
      options.maximumMilliseconds = milliseconds
      let inputs = [
        try Tensor.int64(count), try Tensor.flag(true), try Tensor.floats([2], [0, 0]),
        try Tensor.floats([2], [1, 1]), try Tensor.floats([], [1e9]),
      ]
      return try executor.run(inputs, options: options)[0].floats
    }
    // Without the limit this would take years.
    let error = martletError { _ = try run(1 << 60, milliseconds: 20) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.input == "max_milliseconds")
    #expect(error?.node != nil)
    #expect(error?.expected == "at most 20 ms")
    for milliseconds in [0, 60_000, Int.max] {
      #expect(try run(10, milliseconds: milliseconds) == [10, 10])
    }
  }

  /// An outer loop around an inner one of 3 iterations.
  @Test("iterations of loops inside loops count together") func nestedLimit() throws {
    var graph = Graph()
    let count = graph.addInput("count", .int64, [])
    let x = graph.addInput("x", .float32, [.known(2)])
    let body = try Graph.region("body", formals: 3) { outer, values in
      let three = outer.addConstant("three", try Tensor.int64(3))
      let inner = Graph.region("body", formals: 3) { inner, values in
        [values[1], inner.node("Add", [values[2], values[2]])]
      }
      let last = outer.addNode(
        "Loop", name: "inner", inputs: [three, nil, values[2]], outputs: ["inner"],
        regions: [inner])
      return [values[1], last[0]]
    }
    graph.output(
      graph.addNode(
        "Loop", name: "outer", inputs: [count, nil, x], outputs: ["last"], regions: [body])[0])
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    func run(_ count: Int) throws -> [Float] {
      var options = RunOptions()
      options.maximumLoopIterations = 14
      return try executor.run(
        [try Tensor.int64(count), try Tensor.floats([2], [1, 2])], options: options)[0].floats
    }
    #expect(try run(3) == [512, 1024])
    #expect(martletError { _ = try run(4) }?.node == "inner")
  }

  @Test("a loop whose value grows ends at the run's limit on memory") func growing() throws {
    var graph = Graph()
    let count = graph.addInput("count", .int64, [])
    let state = graph.addInput("state", .float32, [.unknown])
    let body = Graph.region("body", formals: 3) { inner, values in
      [values[1], inner.node("Concat", [values[2], values[2]], ["axis": .int(0)])]
    }
    graph.output(
      graph.addNode(
        "Loop", name: "loop", inputs: [count, nil, state], outputs: ["last"], regions: [body])[0])
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    func run(_ count: Int) throws -> Int {
      var options = RunOptions()
      options.maximumMemoryBytes = 1 << 20
      return try executor.run(
        [try Tensor.int64(count), try Tensor.floats([4], [1])], options: options)[0].count
    }
    // What earlier runs gave and the caller holds does not count.
    var held: [Int] = []
    for _ in 0..<5 { held.append(try run(14)) }
    #expect(held.allSatisfy { $0 == 1 << 16 })
    for _ in 0..<3 {
      let error = martletError { _ = try run(40) }
      #expect(error?.code == .limitExceeded)
      #expect(error?.input == "max_memory_bytes")
      #expect(error?.operatorName == "Concat")
      #expect(error?.expected == "at most 1048576 bytes")
    }
    #expect(try run(14) == 1 << 16)
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
    let result = try graph.run([try Tensor.int64(4), try Tensor.floats([1], [7])])[0]
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

  @Test("a run without a progress function asks none, whatever the run before had")
  func progressOfTheRunBefore() throws {
    let executor = Executor(try Plan(try Self.loop()))
    let inputs = [
      try Tensor.int64(20), try Tensor.flag(true), try Tensor.floats([2], [0, 0]),
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
    let shape = try graph.run([try Tensor.int64(5), try Tensor.floats([2], [1, 2])])[0]
    #expect(shape.typed(Int64.self)[0] == 8)
  }

  /// A loop without a condition over carried values x, ..., of which `body` makes the next ones.
  private func carrying(
    _ extents: [Int], scans: Int = 0,
    _ body: (inout Graph, [ValueID]) throws -> [ValueID]
  ) throws -> Graph {
    var graph = Graph()
    let count = graph.addInput("count", .int64, [])
    var inputs: [ValueID?] = [count, nil]
    for (index, extent) in extents.enumerated() {
      inputs.append(graph.addInput("x\(index)", .float32, [.known(extent)]))
    }
    let region = try Graph.region("body", formals: extents.count + 2) { inner, values in
      [values[1]] + (try body(&inner, values))
    }
    let names = (0..<extents.count + scans).map { "y\($0)" }
    for id in graph.addNode("Loop", name: "loop", inputs: inputs, outputs: names, regions: [region])
    {
      graph.output(id)
    }
    try graph.inferTypes()
    return graph
  }

  @Test("a carried value may be handed on as it came, while another takes its place")
  func fibonacci() throws {
    let graph = try carrying([1, 1]) { inner, values in
      [values[3], inner.node("Add", [values[2], values[3]])]
    }
    let results = try graph.run(
      [try Tensor.int64(20), try Tensor.floats([1], [0]), try Tensor.floats([1], [1])])
    #expect(results[0].floats == [6765])
    #expect(results[1].floats == [10946])
  }

  @Test("views of carried values may change places")
  func viewsChangePlaces() throws {
    let graph = try carrying([2, 2]) { inner, values in
      let shape = inner.addConstant("shape", try Tensor.int64s([2]))
      return [
        inner.node("Reshape", [values[3], shape]),
        inner.node("Reshape", [inner.node("Neg", [values[2]]), shape]),
      ]
    }
    let results = try graph.run(
      [try Tensor.int64(7), try Tensor.floats([2], [1, 2]), try Tensor.floats([2], [3, 4])])
    #expect(results[0].floats == [-3, -4])
    #expect(results[1].floats == [1, 2])
  }

  @Test("carried values whose shapes change places keep their elements")
  func shapesChangePlaces() throws {
    let graph = try carrying([2, 3]) { inner, values in
      let one = try inner.weight("one", [], [1])
      return [inner.node("Add", [values[3], one]), inner.node("Add", [values[2], one])]
    }
    let results = try graph.run(
      [try Tensor.int64(9), try Tensor.floats([2], [1, 2]), try Tensor.floats([3], [10, 20, 30])])
    #expect(results[0].floats == [19, 29, 39])
    #expect(results[1].floats == [10, 11])
  }

  @Test("the number of an iteration outlives it where the body hands it on")
  func numbers() throws {
    let graph = try carrying([1], scans: 2) { inner, values in
      let next = inner.node("Add", [values[2], inner.node("Cast", [values[0]], ["to": .int(1)])])
      return [next, values[0], next]
    }
    let results = try graph.run([try Tensor.int64(5), try Tensor.floats([1], [0])])
    #expect(results[0].floats == [10])
    #expect((0..<5).map { results[1].typed(Int64.self)[$0] } == [0, 1, 2, 3, 4])
    #expect(results[2].floats == [0, 1, 3, 6, 10])
  }
}
