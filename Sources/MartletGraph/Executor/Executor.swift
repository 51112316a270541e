import MartletCore
import Synchronization

/// Runs a plan: one per thread at a time, with memory of its own that it reuses from run to run.
///
/// @unchecked Sendable: `run` refuses to be entered twice at once; reports are read by the thread
/// that ran.
package final class Executor: @unchecked Sendable {
  package let plan: Plan
  private let runner: PlanRunner
  private let busy = Atomic<Bool>(false)

  /// Whether the time of each node is taken; setting it to true starts anew.
  package var isProfiling: Bool {
    get { runner.isProfiling }
    set { runner.isProfiling = newValue }
  }

  package init(_ plan: Plan) {
    self.plan = plan
    runner = PlanRunner(plan)
  }

  /// Computes the outputs from inputs in the graph's order.
  ///
  /// `destinations[i]`, where given, receives output i and is returned for it (see `Destinations`). No
  /// returned tensor shares memory with an input, a weight or another output.
  /// Throws `invalidArgument`, `invalidShape` or `invalidDType` naming the input or destination,
  /// `cancelled`, `limitExceeded`, `invalidState` when a run of this executor is under way on another
  /// thread, and what the operators throw, with node and operator named.
  package func run(
    _ inputs: [Value], destinations: [Tensor?] = [], options: RunOptions = RunOptions(),
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Value] {
    guard !busy.exchange(true, ordering: .acquiring) else {
      throw MartletError(
        .invalidState, "this run context is running on another thread; make one per thread")
    }
    defer {
      runner.release()
      busy.store(false, ordering: .releasing)
    }
    try plan.checkInputs(inputs)
    let destinations = try plan.destinations(destinations)
    runner.context.begin(options, RunAllowance(options))
    runner.context.areStatesAlone = Executor.areStatesAlone(inputs)
    let writable = destinations.writable(reading: inputs, count: plan.graph.outputs.count)
    try FloatingPointEnvironment.flushing(options.flushesDenormals) { () throws(MartletError) in
      try runner.run(inputs, destinations: writable, progress: progress)
    }
    let outputs = try collectOutputs(inputs, destinations)
    runner.noteMemory()
    return outputs
  }

  /// `run` of a graph whose inputs and outputs are tensors; throws `unsupported` naming an output that
  /// is none.
  package func run(
    _ inputs: [Tensor], destinations: [Tensor?] = [], options: RunOptions = RunOptions(),
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Tensor] {
    let results = try run(
      inputs.map { .tensor($0) }, destinations: destinations, options: options, progress: progress)
    var tensors: [Tensor] = []
    tensors.reserveCapacity(results.count)
    for index in results.indices { tensors.append(try tensor(results, output: index)) }
    return tensors
  }

  /// The tensor that is output `index` of `results`; throws `unsupported`, naming it, where it is none.
  package func tensor(_ results: [Value], output index: Int) throws(MartletError) -> Tensor {
    guard results.indices.contains(index), plan.graph.outputs.indices.contains(index) else {
      throw MartletError(.internalError, "the run gave \(results.count) outputs")
    }
    guard case .tensor(let tensor) = results[index] else {
      let (name, actual) = (plan.graph.outputs[index].name, results[index].summary)
      throw MartletError(
        .unsupported, "output '\(name)' is \(actual), not a tensor; ask for values", input: name,
        expected: "a tensor", actual: actual)
    }
    return tensor
  }

  /// Whether the memory of each state is in no other of these values.
  private static func areStatesAlone(_ values: [Value]) -> Bool {
    for (index, value) in values.enumerated() {
      guard case .state(let state) = value else { continue }
      for (place, other) in values.enumerated()
      where place != index && other.contains({ $0.storage === state.tensor.storage }) {
        return false
      }
    }
    return true
  }

  // MARK: - Outputs

  /// The outputs, each in memory of its own or the caller's.
  private func collectOutputs(
    _ inputs: [Value], _ destinations: Destinations
  ) throws(MartletError) -> [Value] {
    var taken = StorageIdentities()
    for input in inputs { taken.insert(allOf: input) }
    if let arena = runner.arena { taken.insert(arena) }
    let (memory, pool) = (runner.context.memory, runner.context.pool)
    var values = try destinations.receive(try outputValues(), on: pool) {
      tensor throws(MartletError) in try memory.copy(tensor, on: pool)
    }
    // A state that is given out is nobody else's to write.
    for case .state(let state) in values { taken.insert(state.tensor.storage) }
    func own(_ tensor: Tensor) throws(MartletError) -> Tensor {
      let isFresh =
        taken.insert(tensor.storage)
        && !plan.constantStorages.contains(ObjectIdentifier(tensor.storage))
      let isOwn = isFresh && tensor.isContiguous && !tensor.storage.isReadOnly
      return isOwn ? tensor : try memory.copy(tensor, on: pool)
    }
    for index in values.indices where destinations[index] == nil {
      values[index] = try values[index].mapTensors(own)
    }
    return values
  }

  private func outputValues() throws(MartletError) -> [Value] {
    var values: [Value] = []
    values.reserveCapacity(plan.outputSources.count)
    for index in plan.outputSources.indices {
      guard let value = runner.output(index) else {
        throw MartletError(
          .internalError, "output '\(plan.graph.outputs[index].name)' was not computed")
      }
      values.append(value)
    }
    return values
  }

  // MARK: - Reports

  /// What each node's matrix work ran as in the last run, in the order of execution.
  ///
  /// With `includingOthers`, nodes without matrix work have a row that says `unchanged`.
  package func precisionReport(includingOthers: Bool = false) -> [PrecisionRow] {
    runner.precisionReport(includingOthers: includingOthers)
  }

  /// Time per node over the runs since `isProfiling` was set, in the order of execution.
  package var profile: [ProfileRow] {
    zip(plan.graph.nodes, runner.nanoseconds).map { node, time in
      ProfileRow(
        node: node.name, operatorName: node.op.description, nanoseconds: time,
        runs: runner.profiledRuns)
    }
  }

  package var memoryStatistics: MemoryStatistics { runner.memoryStatistics }

  /// Gives memory kept for the next run back to the system. While a run is under way (as when its
  /// progress function calls this) it does nothing.
  package func trimMemory() {
    guard !busy.exchange(true, ordering: .acquiring) else { return }
    defer { busy.store(false, ordering: .releasing) }
    runner.trimMemory()
  }
}
