import MartletCore
import MartletOperators

/// A region of a node, run by the node's operator.
final class RegionRun: RegionRunner {
  let runner: PlanRunner
  /// The node's arguments, in which what the region captures stands too.
  private let arguments: Inputs
  private let captures: Range<Int>
  /// The formal inputs, then what is captured; empty between two runs of the node.
  private var inputs: [Value?] = []

  init(_ runner: PlanRunner, _ arguments: Inputs, captures: Range<Int>) {
    self.runner = runner
    self.arguments = arguments
    self.captures = captures
  }

  private var formalCount: Int { runner.plan.graph.inputs.count - captures.count }

  func give(_ value: Value?, to input: Int) {
    if inputs.isEmpty {
      inputs = [Value?](repeating: nil, count: formalCount) + arguments.values[captures]
    }
    inputs[input] = value
  }

  func step(_ context: RunContext) throws(MartletError) {
    if inputs.isEmpty { inputs = Array(arguments.values[captures]) }
    runner.release()
    runner.context.checkpoint = context.checkpoint
    runner.context.begin(as: context)
    try runner.run(inputs, destinations: [], progress: nil)
  }

  func output(_ index: Int) -> Value? { runner.output(index) }

  func lasting(_ value: Value?) throws(MartletError) -> Value? { try runner.lasting(value) }

  func finish() {
    inputs = []
    runner.release()
  }

  func run(_ inputs: [Value?], _ context: RunContext) throws(MartletError) -> [Value?] {
    defer { finish() }
    for (index, input) in inputs.enumerated() { give(input, to: index) }
    try step(context)
    var results: [Value?] = []
    for index in runner.plan.outputSources.indices {
      results.append(try lasting(output(index)))
    }
    return results
  }
}
