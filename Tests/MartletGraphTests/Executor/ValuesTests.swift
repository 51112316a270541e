import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

/// Values that are no tensors, on their way through a graph.
@Suite struct ValuesTests {
  private func sequence(_ value: Value?) throws -> [[Float]] {
    guard case .sequence(let sequence)? = value else { return [] }
    return sequence.elements.map { $0.tensor?.floats ?? [] }
  }

  /// A graph that doubles and halves its input often enough for memory to be used again, and keeps
  /// what is between in a sequence.
  private func keeping(_ steps: Int) -> Graph {
    var graph = Graph(name: "keeping")
    let x = graph.addInput("x", .float32, [.symbol("n")])
    var kept = graph.node("SequenceEmpty", [])
    var value = x
    for _ in 0..<steps {
      value = graph.node("Add", [value, x])
      kept = graph.node("SequenceInsert", [kept, value])
    }
    graph.output(kept)
    return graph
  }

  @Test("what is in a sequence outlives the memory of the node that made it, in every run")
  func planned() throws {
    var graph = keeping(6)
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for run in 0..<5 {
      // The third run finds its memory laid out; the last has another shape.
      let count = run == 4 ? 3 : 2
      let x = try Tensor.floats([count], [Float(run + 1), 10])
      let results: [Value] = try executor.run([.tensor(x)])
      let expected = (2...7).map { factor in x.floats.map { $0 * Float(factor) } }
      #expect(try sequence(results[0]) == expected)
    }
  }

  @Test("a sequence that leaves a run shares no memory with inputs, weights or itself")
  func independence() throws {
    var graph = Graph(name: "own")
    let x = graph.addInput("x", .float32, [.known(2)])
    let weight = try graph.weight("w", [2], [5, 6])
    graph.output(graph.node("SequenceConstruct", [x, weight, x]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let input = try Tensor.floats([2], [1, 2])
    let results: [Value] = try executor.run([.tensor(input)])
    guard case .sequence(let sequence) = results[0] else {
      Issue.record("no sequence")
      return
    }
    let storages = sequence.elements.compactMap { $0.tensor.map { ObjectIdentifier($0.storage) } }
    #expect(Set(storages).count == 3)
    #expect(!storages.contains(ObjectIdentifier(input.storage)))
    input.typed(Float.self)[0] = 99
    #expect(try self.sequence(results[0]) == [[1, 2], [5, 6], [1, 2]])
  }

  @Test("a loop carries a sequence, whose elements differ in shape")
  func loops() throws {
    var graph = Graph(name: "loop")
    let trips = graph.addInput("M", .int64, [])
    let x = graph.addInput("x", .float32, [.known(1)])
    let empty = graph.node("SequenceEmpty", [])
    let body = Graph.region("body", formals: 4) { inner, ids in
      let longer = inner.node("Concat", [ids[2], ids[2]], ["axis": .int(0)])
      return [ids[1], longer, inner.node("SequenceInsert", [ids[3], longer])]
    }
    let outputs = graph.addNode(
      "Loop", name: "loop", inputs: [trips, nil, x, empty], outputs: ["last", "all"],
      regions: [body])
    for id in outputs { graph.output(id) }
    try graph.inferTypes()
    try graph.verify()
    let executor = Executor(try Plan(graph))
    for count in [0, 3, 3, 3, 1] {
      let results: [Value] = try executor.run([
        .tensor(try Tensor.int64(count)), .tensor(try Tensor.floats([1], [2])),
      ])
      let expected = (0..<count).map { [Float](repeating: 2, count: 2 << $0) }
      #expect(try sequence(results[1]) == expected)
    }
  }

  @Test("an input of another kind is refused, naming it and what was expected")
  func refusals() throws {
    var graph = Graph(name: "refuse")
    let s = graph.addInput("s", ValueType(.sequence(of: .tensor(.float32, nil))))
    graph.output(graph.node("SequenceLength", [s]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let wrong: [Value] = [
      .tensor(try Tensor.int64(1)), .optional(nil),
      .sequence(try ValueSequence([.tensor(try Tensor.int64(1))])),
    ]
    for value in wrong {
      do throws(MartletError) {
        _ = try executor.run([value])
        Issue.record("\(value.summary) was accepted")
      } catch {
        #expect(error.code == .invalidArgument && error.input == "s", "\(error)")
        #expect(error.expected == "sequence(float32)")
      }
    }
    let empty: [Value] = try executor.run([.sequence(try ValueSequence([]))])
    #expect(empty[0].tensor?.smallIntegers == [0])
  }

  @Test("an operator on numbers refuses strings and sequences, at load or in the run")
  func operators() throws {
    for type in [
      ValueType(dtype: .string, shape: [.known(1)]), ValueType(.sequence(of: .tensor(nil, nil))),
    ] {
      var graph = Graph(name: "load")
      graph.output(graph.node("Relu", [graph.addInput("x", type)]))
      #expect(throws: MartletError.self) { try graph.inferTypes() }
    }
    var graph = Graph(name: "run")
    let x = graph.addInput("x", nil, nil)
    graph.output(graph.node("Clip", [try graph.weight("w", [1], [1]), x]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for value in [Value.tensor(try Tensor(strings: ["a"], [])), .sequence(try ValueSequence([]))] {
      do throws(MartletError) {
        let _: [Value] = try executor.run([value])
        Issue.record("\(value.summary) was accepted")
      } catch {
        #expect(error.operatorName == "Clip" && error.input == "min", "\(error)")
      }
    }
  }

  @Test("strings move through a graph and are still there when their source is gone")
  func strings() throws {
    var graph = Graph(name: "strings")
    let x = graph.addInput("x", .string, [.symbol("n")])
    let index = graph.addConstant("i", try Tensor.int64s([1, 0, 1]))
    let picked = graph.node("Gather", [x, index])
    let both = graph.node("Concat", [picked, x], ["axis": .int(0)])
    graph.output(graph.node("Identity", [both]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for run in 0..<4 {
      let results: [Value]
      do {
        let input = try Tensor(strings: ["a \(run)", "b \(run)"], [2])
        results = try executor.run([.tensor(input)])
      }
      let expected = ["b \(run)", "a \(run)", "b \(run)", "a \(run)", "b \(run)"]
      #expect(results[0].tensor?.strings == expected)
    }
  }

  @Test("Concat and Attention append to a state in place, and give what they give for tensors")
  func states() throws {
    var graph = Graph(name: "cache")
    let past = graph.addInput("past", .float32, [.known(1), .known(2), .symbol("t"), .known(4)])
    let new = graph.addInput("new", .float32, [.known(1), .known(2), .known(1), .known(4)])
    let outputs = graph.addNode(
      "Attention", name: "attention", inputs: [new, new, new, nil, past, past],
      outputs: ["y", "keys", "values"])
    for id in outputs { graph.output(id) }
    graph.output(graph.node("Concat", [past, new], ["axis": .int(2)]))
    try graph.inferTypes()
    let plan = try Plan(graph)
    let (growing, copying) = (Executor(plan), Executor(plan))
    var keys = try State(try Tensor.noise([1, 2, 3, 4]), axis: 2, capacity: 64)
    var whole = try keys.tensor.copied()
    let memory = keys.tensor.storage
    for step in 0..<6 {
      let token = try Tensor.noise([1, 2, 1, 4], seed: UInt64(step + 2))
      let grown: [Value] = try growing.run([.state(keys), .tensor(token)])
      let copied: [Value] = try copying.run([.tensor(whole), .tensor(token)])
      for (a, b) in zip(grown, copied) { #expect(a.tensor?.floats == b.tensor?.floats) }
      let inPlace = grown.dropFirst().filter { $0.tensor?.storage === memory }
      // One of three may append to the slices that all three start from.
      #expect(inPlace.count == 1)
      guard case .state(let next)? = inPlace.first, let tensor = copied[1].tensor else {
        Issue.record("no state")
        return
      }
      keys = next
      whole = tensor
    }
  }

  /// TensorScatter of past and update, with past read by another node too where asked for.
  private func cache(_ dtype: DType, isReadTwice: Bool = false) throws -> Executor {
    var graph = Graph(name: "cache")
    let past = graph.addInput("past", dtype, [.known(2), .known(3), .known(1)])
    let update = graph.addInput("update", dtype, [.known(2), .symbol("s"), .known(1)])
    let index = graph.addInput("index", .int64, [.known(2)])
    if isReadTwice { graph.output(graph.node("Neg", [past])) }
    graph.output(graph.node("TensorScatter", [past, update, index]))
    try graph.inferTypes()
    return Executor(try Plan(graph))
  }

  @Test("TensorScatter writes over a state that nothing else reads, and uses it up")
  func scatteredStates() throws {
    let executor = try cache(.float32)
    var state = try State(try Tensor.floats([2, 3, 1], [1, 2, 3, 4, 5, 6]), axis: 1, capacity: 3)
    let memory = state.tensor.storage
    for step in 0..<4 {
      let inputs: [Value] = [
        .state(state),
        .tensor(try Tensor.floats([2, 1, 1], [Float(10 + step), Float(20 + step)])),
        .tensor(try Tensor.int64s([step % 3, 2])),
      ]
      let results: [Value] = try executor.run(inputs)
      guard case .state(let next) = results[0] else {
        Issue.record("no state")
        return
      }
      #expect(next.tensor.storage === memory)
      let again = martletError { let _: [Value] = try executor.run(inputs) }
      #expect(again?.code == .invalidState && again?.input == "past")
      state = next
    }
    #expect(state.tensor.floats == [13, 11, 12, 4, 5, 23])
  }

  @Test("TensorScatter copies a state that another node or input of the run reads too")
  func sharedStates() throws {
    let update = Value.tensor(try Tensor.floats([2, 1, 1], [10, 20]))
    let index = Value.tensor(try Tensor.int64s([0, 2]))
    let state = try State(try Tensor.floats([2, 3, 1], [1, 2, 3, 4, 5, 6]), axis: 1, capacity: 3)
    let results: [Value] = try cache(.float32, isReadTwice: true).run([
      .state(state), update, index,
    ])
    #expect(results[0].tensor?.floats == [-1, -2, -3, -4, -5, -6])
    #expect(results[1].tensor?.floats == [10, 2, 3, 4, 5, 20])
    // The whole as its own update: what is read must be what it was.
    let same: [Value] = try cache(.float32).run([
      .state(state), .state(state), .tensor(try Tensor.int64s([0, 0])),
    ])
    #expect(same[0].tensor?.floats == [1, 2, 3, 4, 5, 6])
    #expect(same[0].tensor?.storage !== state.tensor.storage)
    #expect(state.tensor.floats == [1, 2, 3, 4, 5, 6])
  }

  @Test("TensorScatter writes over a temporary that is not read again")
  func scatteredTemporaries() throws {
    var graph = Graph(name: "cache")
    let past = graph.addInput("past", .float32, [.known(1), .known(1024), .known(8)])
    let update = graph.addInput("update", .float32, [.known(1), .known(1), .known(8)])
    var value = graph.node("Neg", [past])
    for _ in 0..<3 { value = graph.node("TensorScatter", [value, update]) }
    graph.output(graph.node("Neg", [value]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let cache = try Tensor.noise([1, 1024, 8])
    let token = try Tensor.noise([1, 1, 8], seed: 3)
    for _ in 0..<3 {
      let result = try executor.run([cache, token])[0]
      #expect(result.floats == token.floats.map { -$0 } + cache.floats.dropFirst(8))
    }
    // One place for all of them, and the output's own memory.
    let bytes = 1024 * 8 * 4
    #expect(executor.memoryStatistics.kept < 2 * bytes)
  }

  @Test("values and types are nested no deeper than the limit, however many nodes nest them")
  func depth() throws {
    func nested(_ levels: Int, _ type: ValueType) throws -> Graph {
      var graph = Graph(name: "deep")
      var value = graph.addInput("x", type)
      for _ in 0..<levels { value = graph.node("Optional", [value]) }
      graph.output(graph.node("OptionalHasElement", [value]))
      try graph.inferTypes()
      return graph
    }
    _ = try nested(Value.maximumDepth - 1, ValueType(dtype: .float32, shape: []))
    let error = martletError { _ = try nested(10_000, ValueType(dtype: .float32, shape: [])) }
    #expect(error?.code == .invalidModel && error?.node?.hasPrefix("Optional") == true)

    // What is not known before may still nest in the run.
    var graph = Graph(name: "loop")
    let trips = graph.addInput("M", .int64, [])
    let start = graph.addInput("x", ValueType(.optional(of: .unknownTensor)))
    let body = Graph.region("body", formals: 3) { inner, ids in
      [ids[1], inner.node("Optional", [ids[2]])]
    }
    graph.output(
      graph.addNode(
        "Loop", name: "loop", inputs: [trips, nil, start], outputs: ["last"], regions: [body])[0])
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let late = martletError {
      let _: [Value] = try executor.run([.tensor(try Tensor.int64(100)), .optional(nil)])
    }
    #expect(late?.code == .invalidArgument)
  }

  @Test("a tensor that is a view of a state which is an output too is given a copy")
  func stateAliases() throws {
    var graph = Graph(name: "alias")
    let past = graph.addInput("past", .float32, [.symbol("t")])
    let new = graph.addInput("new", .float32, [.known(2)])
    let grown = graph.node("Concat", [past, new], ["axis": .int(0)])
    graph.output(grown)
    graph.output(
      graph.node(
        "Identity",
        [graph.node("Reshape", [grown, graph.addConstant("s", try Tensor.int64s([1, -1]))])]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    for capacity in [1, 8] {
      let state = try State(try Tensor.floats([1], [1]), axis: 0, capacity: capacity)
      let results: [Value] = try executor.run([
        .state(state), .tensor(try Tensor.floats([2], [2, 3])),
      ])
      guard case .state(let grown) = results[0], let view = results[1].tensor else {
        Issue.record("no state")
        return
      }
      #expect(view.floats == [1, 2, 3] && view.storage !== grown.tensor.storage)
    }
  }

  @Test("strings are not reduced, and packed elements not joined")
  func unsuited() throws {
    var graph = Graph(name: "scatter")
    let x = graph.addInput("x", .string, [.known(2)])
    let index = graph.addConstant("i", try Tensor.int64s([0, 0]))
    graph.output(
      graph.node("ScatterElements", [x, index, x], ["reduction": .string("add")]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let reduced = martletError {
      let _: [Value] = try executor.run([.tensor(try Tensor(strings: ["a", "b"], [2]))])
    }
    #expect(reduced?.code == .invalidDType)

    var joining = Graph(name: "join")
    let s = joining.addInput("s", ValueType(.sequence(of: .tensor(nil, nil))))
    joining.output(joining.node("ConcatFromSequence", [s], ["axis": .int(0)]))
    try joining.inferTypes()
    let packed = Value.tensor(try Tensor(uninitialized: .int4, [3]))
    let joined = martletError {
      let _: [Value] = try Executor(try Plan(joining)).run([
        .sequence(try ValueSequence([packed, packed]))
      ])
    }
    #expect(joined?.code == .invalidDType)
    #expect(throws: MartletError.self) {
      try State(try Tensor(uninitialized: .int4, [2, 4]), axis: 0, capacity: 8)
    }
    #expect(throws: MartletError.self) {
      try State(try Tensor(uninitialized: .float8e5m2, [2]), axis: 0, capacity: 8)
    }
  }
}
