import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite("Recurrent", .serialized) struct RecurrentTests {
  static let names = ["LSTM", "GRU", "RNN"]

  @Test("any allowed call agrees with float64", arguments: names)
  func oracle(_ name: String) throws {
    for seed in 1...80 {
      let call = try RecurrentCase.random(name, seed: seed)
      let tolerance: Double =
        switch call.dtype {
        case .float64: 1e-11
        case .float16: 2e-3
        case .bfloat16: 1e-2
        default: 2e-5
        }
      let expected = RecurrentOracle(call).outputs()
      for constants in [false, true] {
        let results = try call.run(constants: constants)
        for (result, values) in zip(results, expected) {
          #expect(agree(result.values, values, tolerance), "seed \(seed): \(call)")
        }
      }
    }
  }

  @Test("outputs that nobody asks for are not made", arguments: names, [1, 2])
  func fewerOutputs(_ name: String, _ count: Int) throws {
    for seed in 200...210 {
      let call = try RecurrentCase.random(name, seed: seed)
      let all = try call.run()
      let some = try call.run(outputs: count)
      #expect(some.map(\.values) == all.prefix(count).map(\.values), "seed \(seed)")
    }
  }

  @Test(
    "bits depend neither on threads nor on the batch", arguments: names, [MathMode.fp32, .bf16])
  func sameBits(_ name: String, _ mode: MathMode) throws {
    defer { try? ThreadPool.shared.setThreadCount(0) }
    let widths = [(1, 3, 40), (30, 5, 7), (64, 64, 9), (128, 128, 6), (300, 40, 5)]
    for (seed, (hidden, input, batch)) in widths.enumerated() {
      var random = RecurrentRandom(seed + 1)
      var call = RecurrentCase(name)
      (call.hidden, call.input, call.batch, call.steps) = (hidden, input, batch, 4)
      call.directions = ["forward", "reverse"]
      call.flag = seed % 2 == 1
      call.lengths = seed % 2 == 0 ? (0..<batch).map { $0 % 5 } : nil
      try call.fill(&random, optional: 100)
      try ThreadPool.shared.setThreadCount(1)
      let whole = try call.run(on: RunContext(mode: mode), constants: true)
      for threads in [2, 3] {
        try ThreadPool.shared.setThreadCount(threads)
        let again = try call.run(on: RunContext(mode: mode))
        #expect(again.map(\.values) == whole.map(\.values), "\(name) \(hidden), \(threads) threads")
      }
      for row in [0, batch / 2, batch - 1] {
        let single = try call.alone(row).run(on: RunContext(mode: mode), constants: row == 0)
        for (index, result) in single.enumerated() {
          let axis = index == 0 ? 2 : 1
          let part = whole[index].sliced(axis: axis, start: row, count: 1, step: 1)
          #expect(result.values == part.values, "\(name) \(hidden), row \(row), output \(index)")
        }
      }
    }
  }

  @Test(
    "in BF16 mode both products are bf16 where the processor has it", .enabled(if: runsNatively),
    arguments: names)
  func bf16(_ name: String) throws {
    var random = RecurrentRandom(5)
    var call = RecurrentCase(name)
    (call.hidden, call.input, call.batch) = (48, 32, 3)
    try call.fill(&random, optional: 100)
    let context = RunContext(mode: .bf16)
    let results = try call.run(on: context, constants: true)
    let precision = Backends.precision(for: .bf16)
    #expect(context.executions.count == 2)
    for execution in context.executions {
      #expect(execution.precision == (precision.usesBF16 ? "bf16" : "fp32"))
      #expect(execution.reason == precision.reason)
    }
    for (result, values) in zip(results, RecurrentOracle(call).outputs()) {
      #expect(agree(result.values, values, 3e-2))
    }
  }

  @Test("inputs may have any strides", arguments: names)
  func strides(_ name: String) throws {
    for seed in 300...320 {
      var call = try RecurrentCase.random(name, seed: seed)
      let dense = try call.run().map(\.values)
      for (index, tensor) in call.tensors.enumerated() {
        guard let tensor else { continue }
        let order = Array((0..<tensor.rank).reversed())
        let turned = try makeContext().contiguous(try tensor.permuted(order))
        call.tensors[index] = try turned.permuted(order)
      }
      #expect(try call.run().map(\.values) == dense, "seed \(seed)")
    }
  }

  @Test("a constant's panels serve every mode and run", arguments: names)
  func repeated(_ name: String) throws {
    var random = RecurrentRandom(9)
    var call = RecurrentCase(name)
    try call.fill(&random, optional: 100)
    let inputs = try call.inputs()
    let node = OperatorNode(
      attributes: Attributes(call.attributes, operatorName: name),
      constants: inputs.enumerated().map { $0 == 1 || $0 == 2 ? $1 : nil },
      inputCount: inputs.count, outputCount: 2)
    let made = try OperatorTable.make(OperatorID(name), node)
    let first = try made.results(inputs, makeContext()).map(\.values)
    _ = try made.results(inputs, RunContext(mode: .bf16))
    #expect(try made.results(inputs, makeContext()).map(\.values) == first)
  }
}
