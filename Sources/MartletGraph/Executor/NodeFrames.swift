import MartletCore
import MartletOperators

/// The arguments of all nodes of a plan, for one executor: each node's `Inputs`, made once.
///
/// An operand is *bound* to what it is in every run (a constant, or a tensor that a `ShapePlan` has
/// laid out), and otherwise gets the value of this run, which it lets go of once its node has run.
final class NodeFrames {
  private let plan: Plan
  let inputs: [Inputs]
  /// By operand.
  private var bound: [Value?]
  /// How many operands of each node hold values of this run alone.
  private var loose: [Int]
  /// The graph's outputs in this run.
  var outputs: [Value?]

  init(_ plan: Plan) {
    self.plan = plan
    bound = plan.sources.map { source in
      if case .constant(let tensor) = source { .tensor(tensor) } else { nil }
    }
    var inputs: [Inputs] = []
    inputs.reserveCapacity(plan.nodes.count)
    for node in plan.nodes {
      inputs.append(
        Inputs(
          Array(bound[node.operands]), type(of: node.operation).schema,
          captureCount: node.regions.reduce(0) { $0 + $1.captures.count }))
      if case .input(let input)? = plan.sources[node.operands].first {
        inputs[inputs.count - 1].isOnlyReader = plan.inputReaders[input].count == 1
      }
    }
    self.inputs = inputs
    loose = [Int](repeating: 0, count: plan.nodes.count)
    outputs = [Value?](repeating: nil, count: plan.outputSources.count)
  }

  /// Whether node `index` has operands that are of this run alone.
  @inline(__always)
  func isLoose(_ index: Int) -> Bool { loose[index] > 0 }

  /// Whether all operands of node `index` are the same in every run.
  func isBound(_ index: Int) -> Bool {
    plan.nodes[index].operands.allSatisfy { operand in
      if case .absent = plan.sources[operand] { true } else { bound[operand] != nil }
    }
  }

  /// Hands a value of this run to its readers; throws where an operator does not take its kind.
  func give(_ value: Value?, to readers: [Plan.Reader]) throws(MartletError) {
    if let value, !value.isNumbers, value.depth > Value.maximumDepth {
      throw MartletError(
        .invalidArgument, "a value is nested deeper than \(Value.maximumDepth)",
        expected: "at most \(Value.maximumDepth) levels", actual: "more")
    }
    for reader in readers {
      if reader.node < 0 {
        outputs[reader.position] = value
      } else {
        if let value, !value.isNumbers { try check(value, reader) }
        inputs[reader.node].values[reader.position] = value
        loose[reader.node] += 1
      }
    }
  }

  private func check(_ value: Value, _ reader: Plan.Reader) throws(MartletError) {
    // What a region captures is its own operators' business.
    guard reader.position < inputs[reader.node].count else { return }
    do throws(MartletError) {
      try type(of: plan.nodes[reader.node].operation).schema.check(value, input: reader.position)
    } catch {
      throw error.at(plan.graph.nodes[reader.node])
    }
  }

  /// Makes a value what its readers read in every run; nil undoes that.
  func bind(_ value: Value?, to readers: [Plan.Reader]) {
    for reader in readers where reader.node >= 0 {
      bound[plan.nodes[reader.node].operands.lowerBound + reader.position] = value
      inputs[reader.node].values[reader.position] = value
    }
  }

  /// Lets go of the values of this run that node `index` has read.
  @inline(__always)
  func release(_ index: Int) {
    if loose[index] > 0 { letGo(index) }
  }

  private func letGo(_ index: Int) {
    loose[index] = 0
    let first = plan.nodes[index].operands.lowerBound
    let node = inputs[index]
    for position in node.values.indices { node.values[position] = bound[first + position] }
  }

  /// Lets go of all values of this run.
  func releaseAll() {
    for index in loose.indices { release(index) }
    for index in outputs.indices { outputs[index] = nil }
  }
}
