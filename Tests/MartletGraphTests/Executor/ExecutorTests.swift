import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

@Suite struct ExecutorTests {
  /// A chain of additions on a large tensor.
  private func chain(_ length: Int) throws -> Graph {
    var graph = Graph()
    var value = graph.addInput("x", .float32, [.symbol("n")])
    let one = try graph.weight("one", [], [1])
    for _ in 0..<length { value = graph.node("Add", [value, one]) }
    graph.output(value)
    try graph.inferTypes()
    return graph
  }

  @Test("denormals are flushed on all threads of a run that asks for it, and of no other")
  func denormals() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n")])
    graph.output(graph.node("Mul", [x, try graph.weight("two", [], [2])]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let tiny = Float.leastNonzeroMagnitude * 1024
    let input = try Tensor.floats([300_000], [tiny])
    let pool = try ThreadPool(threads: 3)
    for usesScheduler in [false, true] {
      if usesScheduler {
        pool.setExternal(
          { _, count, task, context in for index in 0..<count { task(context, index) } }, user: nil)
      }
      for flushes in [true, false, true] {
        var options = RunOptions()
        options.pool = pool
        options.flushesDenormals = flushes
        let results = Set(try executor.run([input], options: options)[0].floats)
        #expect(results == [flushes ? 0 : 2 * tiny])
        #expect(input.floats[0] * 2 > 0)
      }
    }
  }

  @Test("a run that would hold more than it may says so, and names the node") func memoryLimit()
    throws
  {
    let executor = Executor(try Plan(chain(50)))
    let x = try Tensor.floats([100_000], [1])
    func run(_ bytes: Int) throws -> Float {
      var options = RunOptions()
      options.maximumMemoryBytes = bytes
      return try executor.run([x], options: options)[0].floats[99_999]
    }
    let error = martletError { _ = try run(300_000) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.operatorName == "Add")
    #expect(error?.node != nil)
    #expect(error?.input == "max_memory_bytes")
    #expect(error?.message.contains("300000") == true)
    // Recorded, laid out, and in steady state.
    for _ in 0..<3 { #expect(try run(1_000_000) == 51) }
    #expect(martletError { _ = try run(300_000) }?.code == .limitExceeded)
    #expect(try run(0) == 51)
  }

  @Test("memory is released after the last use and used again")
  func memory() throws {
    let executor = Executor(try Plan(chain(50)))
    let x = try Tensor.floats([100_000], [1])
    #expect(try executor.run([x])[0].floats[99_999] == 51)
    let first = executor.memoryStatistics
    #expect(first.peak < 4 * 500_000)
    for _ in 0..<3 {
      _ = try executor.run([x])
      #expect(executor.memoryStatistics.peak <= 4 * 500_000)
    }
    executor.trimMemory()
    #expect(executor.memoryStatistics.kept == 0)
  }

  @Test("a failing node is named, and a later run works")
  func errors() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.symbol("n")])
    let y = graph.addInput("y", .float32, [.symbol("m")])
    graph.output(graph.node("Add", [x, y]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let (two, three) = (try Tensor.floats([2], [1]), try Tensor.floats([3], [1]))
    let error = martletError { _ = try executor.run([two, three]) }
    #expect(error?.node == "Add0")
    #expect(error?.operatorName == "Add")
    #expect(try executor.run([two, two])[0].floats == [2, 2])
  }

  @Test("an output that views an input or another output gets memory of its own")
  func views() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(2), .known(3)])
    let neg = graph.node("Neg", [x])
    graph.output(graph.node("Transpose", [x], ["perm": .ints([1, 0])]))
    graph.output(neg)
    graph.output(graph.node("Transpose", [neg], ["perm": .ints([1, 0])]))
    try graph.inferTypes()
    let input = try Tensor.floats([2, 3], [1, 2, 3, 4, 5, 6])
    let results = try graph.run([input])
    #expect(results[0].floats == [1, 4, 2, 5, 3, 6])
    #expect(results[2].floats == [-1, -4, -2, -5, -3, -6])
    for (index, result) in results.enumerated() {
      #expect(result.isContiguous)
      #expect(!result.overlaps(input))
      for other in results[..<index] { #expect(!result.overlaps(other)) }
    }
  }

  @Test("an operator writes straight into a contiguous destination")
  func destination() throws {
    let executor = Executor(try Plan(chain(3)))
    let x = try Tensor.floats([4], [1])
    let place = try Tensor.floats([4], [0])
    let results = try executor.run([x], destinations: [place])
    #expect(results[0].storage === place.storage)
    #expect(place.floats == [4, 4, 4, 4])
    // The destination is also the input: the result is computed apart.
    _ = try executor.run([x], destinations: [x])
    #expect(x.floats == [4, 4, 4, 4])
  }

  @Test("profile and cancellation go node by node")
  func profile() throws {
    let executor = Executor(try Plan(chain(3)))
    executor.isProfiling = true
    let x = try Tensor.floats([4], [1])
    _ = try executor.run([x])
    _ = try executor.run([x])
    #expect(executor.profile.map(\.node) == ["Add0", "Add1", "Add2"])
    #expect(executor.profile.allSatisfy { $0.runs == 2 && $0.nanoseconds > 0 })
    var calls = 0
    let error = martletError {
      _ = try executor.run(
        [x],
        progress: { progress in
          calls += 1
          return progress.completed < 1
        })
    }
    #expect(error?.code == .cancelled)
    #expect(calls == 2)
  }

  @Test("a long node asks whether the run goes on")
  func cancelWithin() throws {
    var graph = Graph()
    let texts = graph.addInput("x", .string, [.symbol("n")])
    graph.output(graph.node("RegexFullMatch", [texts], ["pattern": .string("a*")]))
    try graph.inferTypes()
    let executor = Executor(try Plan(graph))
    let x = try Tensor(strings: [String](repeating: "aa", count: 600), [600])
    var calls = 0
    let error = martletError {
      _ = try executor.run([x]) { _ in
        calls += 1
        return calls < 2
      }
    }
    #expect(error?.code == .cancelled)
    #expect(calls == 2)
  }

  @Test("one plan serves executors on many threads")
  func threads() async throws {
    let plan = try Plan(chain(20))
    try await withThrowingTaskGroup(of: Float.self) { group in
      for seed in 0..<8 {
        group.addTask {
          let executor = Executor(plan)
          var last: Float = 0
          for _ in 0..<20 {
            last = try executor.run([Tensor.floats([1000], [Float(seed)])])[0].floats[0]
          }
          return last - Float(seed)
        }
      }
      for try await difference in group { #expect(difference == 20) }
    }
  }

  @Test("the text of a graph names values, nodes and types")
  func text() throws {
    let text = try chain(1).description
    #expect(text.contains("input %0 \"x\": float32[n]"))
    #expect(text.contains("node \"Add0\": %2 \"Add0\" = Add(%0, %1) : float32[n]"))
    #expect(text.contains("output \"Add0\" = %2"))
  }

  @Test("a chain runs in the memory of one value, and a value read again keeps its own")
  func inPlace() throws {
    let executor = Executor(try Plan(chain(50)))
    let x = try Tensor.floats([100_000], [1])
    for _ in 0..<3 { #expect(try executor.run([x])[0].floats[99_999] == 51) }
    // One block for the chain, one for the output.
    #expect(executor.memoryStatistics.kept < 4 * 260_000)

    var graph = Graph()
    let input = graph.addInput("x", .float32, [.known(3)])
    let first = graph.node("Neg", [input])
    let second = graph.node("Abs", [first])
    let sum = graph.node("Add", [first, second])
    graph.output(graph.node("Neg", [graph.node("Mul", [sum, first])]))
    try graph.inferTypes()
    #expect(try graph.run([try Tensor.floats([3], [1, -2, 3])])[0].floats == [0, -8, 0])
  }

  @Test("an output that views a constant is given in every run") func constantView() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(2)])
    let weight = graph.addConstant("w", try Tensor.floats([2, 3], [1, 2, 3, 4, 5, 6]))
    graph.output(graph.node("Transpose", [weight], ["perm": .ints([1, 0])]))
    graph.output(graph.node("Neg", [x]))
    try graph.inferTypes()
    let results = try graph.run([try Tensor.floats([2], [1, 2])])
    #expect(results[0].floats == [1, 4, 2, 5, 3, 6])
  }

  @Test("nothing is written over that another operand still views") func viewsOfOneBlock() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(4), .known(3)])
    let first = graph.node("Relu", [x])
    let bounds = try [0, 1, 0].map { graph.addConstant("c\($0)", try .int64s([$0])) }
    let row = graph.node("Slice", [first, bounds[0], bounds[1], bounds[2]])
    let difference = graph.node("Sub", [first, row])
    let square = graph.node("Mul", [difference, difference])
    let turned = graph.node("Transpose", [square], ["perm": .ints([1, 0])])
    let back = graph.node("Reshape", [turned, graph.addConstant("s", try .int64s([4, 3]))])
    graph.output(graph.node("Neg", [graph.node("Add", [square, back])]))
    try graph.inferTypes()
    let input = try Tensor.floats([4, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    let result = try graph.run([input])[0].floats
    // square = [0,0,0, 9,9,9, 36,36,36, 81,81,81]; its columns one after another are added.
    #expect(result == [0, -9, -36, -90, -9, -18, -72, -117, -36, -90, -117, -162])
  }

  @Test("memory may be given back from within a run, and a context goes on") func trimWithin()
    throws
  {
    let executor = Executor(try Plan(chain(40)))
    let x = try Tensor.floats([100], [1])
    for _ in 0..<4 {
      let result = try executor.run([x]) { _ in
        executor.trimMemory()
        return true
      }
      #expect(result[0].floats[99] == 41)
    }
  }

  @Test(
    "matrix work that is bound to its memory follows the mode and gives the bits of a first run")
  func boundWork() throws {
    var graph = Graph()
    let x = graph.addInput("x", .float32, [.known(1), .known(8), .known(16), .known(16)])
    let kernel = graph.addConstant("kernel", try Tensor.noise([8, 8, 3, 3], seed: 3))
    let bias = try graph.weight("bias", [8], [0.5, -1])
    let first = graph.node("Relu", [x])
    let conv = graph.node("Conv", [first, kernel, bias], ["pads": .ints([1, 1, 1, 1])])
    let rows = graph.node(
      "Reshape", [conv, graph.addConstant("shape", try Tensor.int64s([32, 64]))])
    let weight = graph.addConstant("weight", try Tensor.noise([64, 48], seed: 4))
    let product = graph.node("MatMul", [rows, weight])
    let columns = graph.addConstant("columns", try Tensor.noise([48, 1], seed: 5))
    let last = graph.node("Gemm", [graph.node("Tanh", [product]), columns])
    graph.output(graph.node("Neg", [last]))
    try graph.inferTypes()
    let plan = try Plan(graph)
    let executor = Executor(plan)
    for mode in [MathMode.fp32, .bf16, .fp32, .any] {
      var options = RunOptions()
      options.mode = mode
      for seed in [UInt64(7), 8] {
        let input = try Tensor.noise([1, 8, 16, 16], seed: seed)
        let expected = try Executor(plan).run([input], options: options)[0].floats
        let report = executor.precisionReport().map(\.precision)
        for _ in 0..<3 {
          #expect(try executor.run([input], options: options)[0].floats == expected)
        }
        #expect(report.isEmpty || executor.precisionReport().count == report.count)
      }
    }
  }
}
