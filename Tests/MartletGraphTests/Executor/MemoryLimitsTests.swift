import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

/// What max_memory_bytes counts besides the elements of numbers.
@Suite struct MemoryLimitsTests {
  private func options(_ bytes: Int) -> RunOptions {
    var options = RunOptions()
    options.maximumMemoryBytes = bytes
    return options
  }

  /// Runs within `enough` bytes over and over; `tooFew`, by default one less, are refused by the node
  /// `name`.
  private func check(
    _ graph: Graph, _ inputs: [Value], enough: Int, tooFew: Int? = nil, by name: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    var graph = graph
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for _ in 0..<3 {
      let _: [Value] = try executor.run(inputs, options: options(enough))
      let error = martletError {
        let _: [Value] = try executor.run(inputs, options: options(tooFew ?? enough - 1))
      }
      #expect(error?.code == .limitExceeded, sourceLocation: sourceLocation)
      #expect(error?.operatorName == name, sourceLocation: sourceLocation)
      #expect(error?.input == "max_memory_bytes", sourceLocation: sourceLocation)
    }
  }

  @Test("strings count with their references, their bytes and what each takes besides")
  func strings() throws {
    let x = Value.tensor(try Tensor(strings: ["ab", "", "cde"], [3]))
    var joined = Graph(name: "joined")
    let a = joined.addInput("x", .string, [.known(3)])
    joined.output(joined.node("StringConcat", [a, a]))
    try check(joined, [x], enough: 3 * 8 + 4 + 6 + 2 * Text.ownBytes, by: "StringConcat")

    var upper = Graph(name: "upper")
    let b = upper.addInput("x", .string, [.known(3)])
    upper.output(
      upper.node("StringNormalizer", [b], ["case_change_action": .string("UPPER")]))
    try check(upper, [x], enough: 3 * 8 + 2 + 3 + 2 * Text.ownBytes, by: "StringNormalizer")

    var cast = Graph(name: "cast")
    cast.output(cast.node("Cast", [cast.addInput("x", .int64, [.known(2)])], ["to": .int(8)]))
    try check(
      cast, [.tensor(try Tensor.int64s([7, 123]))], enough: 16 + 1 + 3 + 2 * Text.ownBytes,
      by: "Cast")
  }

  @Test("texts that are moved are counted once, and given back with the last who holds them")
  func moved() throws {
    var graph = Graph(name: "moved")
    let count = graph.addInput("count", .int64, [])
    let x = graph.addInput("x", .string, [.known(1)])
    let body = Graph.region("body", formals: 3) { inner, values in
      [values[1], inner.node("Identity", [inner.node("StringConcat", [values[2], values[2]])])]
    }
    let last = graph.addNode(
      "Loop", name: "loop", inputs: [count, nil, x], outputs: ["last"], regions: [body])[0]
    graph.output(graph.node("Concat", [last, last], ["axis": .int(0)]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    func run(_ trips: Int, _ bytes: Int) throws -> [String] {
      let results: [Value] = try executor.run(
        [.tensor(try Tensor.int64(trips)), .tensor(try Tensor(strings: ["a"], [1]))],
        options: options(bytes))
      return results[0].tensor?.strings ?? []
    }
    // Two texts at a time: 2^11 and 2^12 bytes.
    for _ in 0..<3 { #expect(try run(12, 8000)[1].utf8.count == 4096) }
    let error = martletError { _ = try run(14, 8000) }
    #expect(error?.code == .limitExceeded && error?.operatorName == "StringConcat")
  }

  @Test("lists of sequences count, and views of a tensor that was split") func sequences() throws {
    let stride = MemoryLayout<Value>.stride
    let x = Value.tensor(try Tensor.noise([40]))
    var split = Graph(name: "split")
    let parts = split.node("SplitToSequence", [split.addInput("x", .float32, [.known(40)])])
    split.output(split.node("SequenceLength", [parts]))
    try check(split, [x], enough: 40 * 256 + 8, tooFew: 40 * 256 - 1, by: "SplitToSequence")

    var erase = Graph(name: "erase")
    let list = erase.addInput("x", ValueType(.sequence(of: .tensor(.float32, nil))))
    let shorter = erase.node("SequenceErase", [list])
    erase.output(erase.node("SequenceLength", [erase.node("SequenceErase", [shorter])]))
    let sequence = Value.sequence(try ValueSequence([x, x, x, x]))
    try check(erase, [sequence], enough: (3 + 2) * stride, by: "SequenceErase")
  }

  @Test("states count with the room that they get, and not what they are given")
  func states() throws {
    var graph = Graph(name: "cache")
    let past = graph.addInput("past", .float32, [.symbol("n")])
    let new = graph.addInput("new", .float32, [.known(10)])
    graph.output(graph.node("Concat", [past, new], ["axis": .int(0)]))
    let full = try State(try Tensor.noise([90]), axis: 0, capacity: 90)
    let added = Value.tensor(try Tensor.noise([10]))
    try check(graph, [.state(full), added], enough: 150 * 4, by: "Concat")
    try graph.inferTypes()
    let roomy = try State(try Tensor.noise([90]), axis: 0, capacity: 1000)
    let _: [Value] = try Executor(try Plan(graph)).run(
      [.state(roomy), added], options: options(1))
  }
}
