import MartletCore
import MartletGraph

/// Runs a model, keeping memory from run to run. Used by one thread at a time; a second one that
/// enters gets `invalidState`.
///
/// @unchecked Sendable: `options` belongs to the thread that runs; the executor checks for a second one.
package final class RunSession: @unchecked Sendable {
  package let model: Model
  /// How runs of this session are done from now on; the model's own at first.
  package var options: RunOptions
  private let executor: Executor
  private let trimmer: SessionTrimmer

  init(_ model: Model) {
    self.model = model
    options = model.options.run
    executor = Executor(model.plan)
    trimmer = SessionTrimmer(executor)
    LiveSessions.add(trimmer, of: model)
  }

  /// Computes all outputs, in the model's order, from inputs by name.
  ///
  /// `destinations` receive the outputs of those names in place. Throws errors that name the input,
  /// with what was expected and what came: names that the model does not have (`notFound`), missing
  /// inputs (`invalidArgument`), `invalidDType`, `invalidShape`; `cancelled`, `limitExceeded`; and the
  /// operators' errors with the node's name.
  package func run(
    _ inputs: [String: Tensor], destinations: [String: Tensor] = [:],
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Tensor] {
    let names = inputs.keys.sorted()
    let ordered = try model.inputNames.ordered(names.compactMap { inputs[$0] }, named: names)
    guard !destinations.isEmpty else { return try run(ordered, progress: progress) }
    var places = [Tensor?](repeating: nil, count: model.outputs.count)
    let wanted = destinations.keys.sorted()
    for (name, position) in zip(wanted, try model.outputNames.positions(of: wanted)) {
      places[position] = destinations[name]
    }
    return try run(ordered, destinations: places, progress: progress)
  }

  /// Computes all outputs from inputs in the model's order; `destinations[i]` may receive output i.
  package func run(
    _ inputs: [Tensor], destinations: [Tensor?] = [], progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Tensor] {
    try executor.run(inputs, destinations: destinations, options: options, progress: progress)
  }

  /// `run` with values of any kind.
  package func run(
    values inputs: [Value], destinations: [Tensor?] = [], progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Value] {
    try executor.run(inputs, destinations: destinations, options: options, progress: progress)
  }

  /// The tensor that is output `index` of `results`; throws `unsupported`, naming it, where it is none.
  package func tensor(_ results: [Value], output index: Int) throws(MartletError) -> Tensor {
    try executor.tensor(results, output: index)
  }

  /// What each node's matrix work ran as in the last run, in the order of execution.
  package func precisionReport(includingOthers: Bool = false) -> [PrecisionRow] {
    executor.precisionReport(includingOthers: includingOthers)
  }

  /// Whether the time of each node is taken; setting it to true starts anew.
  package var isProfiling: Bool {
    get { executor.isProfiling }
    set { executor.isProfiling = newValue }
  }

  /// Time per node over the runs since `isProfiling` was set.
  package var profile: [ProfileRow] { executor.profile }

  package var memoryStatistics: MemoryStatistics { executor.memoryStatistics }

  /// Gives memory that is kept for the next run back to the system.
  package func trimMemory() { executor.trimMemory() }
}
