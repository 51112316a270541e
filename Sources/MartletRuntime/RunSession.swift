import MartletCore
import MartletGraph
import MartletImport
import Synchronization

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
  /// Of the last run that the model's own plan did not serve.
  private let other = Lock<Other?>(nil)
  /// Whether the last run was one of `other`.
  private let ranOther = Atomic<Bool>(false)

  private struct Other: Sendable {
    let reading: ModelReading
    let executor: Executor
    let trimmer: SessionTrimmer
  }

  init(_ model: Model) {
    self.model = model
    options = model.options.run
    executor = Executor(model.plan)
    trimmer = SessionTrimmer(executor)
    LiveSessions.add(trimmer, of: model)
  }

  /// Computes all outputs, in the model's order, from inputs by name, and from other values for
  /// initialisers of `Model.replaceable`.
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
    let (ordered, replacing) = try model.ordered(
      names.compactMap { inputs[$0] }.map { .tensor($0) }, named: names)
    var places = [Tensor?](repeating: nil, count: destinations.isEmpty ? 0 : model.outputs.count)
    let wanted = destinations.keys.sorted()
    for (name, position) in zip(wanted, try model.outputNames.positions(of: wanted)) {
      places[position] = destinations[name]
    }
    let results = try run(
      values: ordered, replacing: replacing, destinations: places, progress: progress)
    var tensors: [Tensor] = []
    for index in results.indices { tensors.append(try tensor(results, output: index)) }
    return tensors
  }

  /// Computes all outputs from inputs in the model's order; `destinations[i]` may receive output i.
  package func run(
    _ inputs: [Tensor], destinations: [Tensor?] = [], progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Tensor] {
    let results = try run(
      values: inputs.map { .tensor($0) }, destinations: destinations, progress: progress)
    var tensors: [Tensor] = []
    tensors.reserveCapacity(results.count)
    for index in results.indices { tensors.append(try tensor(results, output: index)) }
    return tensors
  }

  /// `run` with values of any kind, and with other values for initialisers of `Model.replaceable`.
  ///
  /// Unless the model's options say otherwise, inputs' extents of one name may differ, and an input that
  /// was declared without extents may be no scalar: such a run has a plan of its own (`ModelReadings`).
  package func run(
    values inputs: [Value], replacing: [String: Value] = [:], destinations: [Tensor?] = [],
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Value] {
    guard replacing.isEmpty else {
      return try run(inputs, replacing, destinations, progress)
    }
    do throws(MartletError) {
      let results = try executor.run(
        inputs, destinations: destinations, options: options, progress: progress)
      if ranOther.load(ordering: .relaxed) { ranOther.store(false, ordering: .relaxed) }
      return results
    } catch {
      guard model.mayLoosen(error) else { throw error }
      try executor.plan.checkInputs(inputs, loosely: true)
      var reading = ModelReading()
      reading.isLoose = true
      return try run(inputs, as: reading, destinations, progress)
    }
  }

  /// A run with initialisers replaced.
  private func run(
    _ inputs: [Value], _ replacing: [String: Value], _ destinations: [Tensor?],
    _ progress: ProgressCallback?
  ) throws(MartletError) -> [Value] {
    var reading = ModelReading()
    reading.replaced = Set(replacing.keys)
    let plan = try model.plan(reading)
    var given = replacing
    for (name, value) in zip(model.inputNames.all, inputs) { given[name] = value }
    let ordered = plan.graph.inputs.compactMap { given[plan.graph.values[$0].name] }
    do throws(MartletError) {
      return try run(ordered, as: reading, destinations, progress)
    } catch {
      guard model.mayLoosen(error) else { throw error }
      try plan.checkInputs(ordered, loosely: true)
      reading.isLoose = true
      return try run(ordered, as: reading, destinations, progress)
    }
  }

  /// A run of another reading of the model, from inputs in its order.
  private func run(
    _ inputs: [Value], as reading: ModelReading, _ destinations: [Tensor?],
    _ progress: ProgressCallback?
  ) throws(MartletError) -> [Value] {
    let known = other.withLock { other in other?.reading == reading ? other?.executor : nil }
    let executor: Executor
    if let known { executor = known } else { executor = try make(reading) }
    let results = try executor.run(
      inputs, destinations: destinations, options: options, progress: progress)
    ranOther.store(true, ordering: .relaxed)
    return results
  }

  private func make(_ reading: ModelReading) throws(MartletError) -> Executor {
    let made = Executor(try model.plan(reading))
    made.isProfiling = executor.isProfiling
    let trimmer = SessionTrimmer(made)
    LiveSessions.add(trimmer, of: model)
    other.withLock { $0 = Other(reading: reading, executor: made, trimmer: trimmer) }
    return made
  }

  /// The executor of the last run.
  private var last: Executor {
    let executor = executor
    guard ranOther.load(ordering: .relaxed) else { return executor }
    return other.withLock { $0?.executor ?? executor }
  }

  private var otherExecutor: Executor? { other.withLock { $0?.executor } }

  /// The tensor that is output `index` of `results`; throws `unsupported`, naming it, where it is none.
  package func tensor(_ results: [Value], output index: Int) throws(MartletError) -> Tensor {
    try executor.tensor(results, output: index)
  }

  /// What each node's matrix work ran as in the last run, in the order of execution.
  package func precisionReport(includingOthers: Bool = false) -> [PrecisionRow] {
    last.precisionReport(includingOthers: includingOthers)
  }

  /// Whether the time of each node is taken; setting it to true starts anew.
  package var isProfiling: Bool {
    get { executor.isProfiling }
    set {
      executor.isProfiling = newValue
      otherExecutor?.isProfiling = newValue
    }
  }

  /// Time per node over the runs since `isProfiling` was set; of those with the last run's plan.
  package var profile: [ProfileRow] { last.profile }

  package var memoryStatistics: MemoryStatistics {
    var statistics = executor.memoryStatistics
    if let more = otherExecutor?.memoryStatistics {
      statistics.live += more.live
      statistics.kept += more.kept
      statistics.peak = max(statistics.peak, more.peak)
    }
    return statistics
  }

  /// Gives memory that is kept for the next run back to the system.
  package func trimMemory() {
    executor.trimMemory()
    otherExecutor?.trimMemory()
  }
}
