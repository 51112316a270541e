import MartletBackends
import MartletCore
import MartletOperators
import MartletPlatform
import Synchronization

/// Runs a plan: one per thread at a time, with memory of its own that it reuses from run to run.
///
/// @unchecked Sendable: `run` refuses to be entered twice at once; reports are read by the thread
/// that ran.
package final class Executor: @unchecked Sendable {
  package let plan: Plan
  private let context: RunContext
  private let busy = Atomic<Bool>(false)
  private var frames: NodeFrames
  private var layouts: ShapeLayouts
  private var executions: [[Execution]]
  private var nanoseconds: [Int64]
  private var profiledRuns = 0

  /// Whether the time of each node is taken; setting it to true starts anew.
  package var isProfiling = false {
    didSet {
      guard isProfiling else { return }
      nanoseconds = [Int64](repeating: 0, count: plan.nodes.count)
      profiledRuns = 0
    }
  }

  /// `permitsWinograd`: see `RunContext`; nil: as the environment says.
  package init(_ plan: Plan, pool: ThreadPool = .shared, permitsWinograd: Bool? = nil) {
    self.plan = plan
    context = RunContext(mode: .fp32, pool: pool, permitsWinograd: permitsWinograd)
    frames = NodeFrames(plan)
    layouts = ShapeLayouts(plan)
    executions = [[Execution]](repeating: [], count: plan.nodes.count)
    nanoseconds = [Int64](repeating: 0, count: plan.nodes.count)
  }

  /// Computes the outputs from inputs in the graph's order.
  ///
  /// `destinations[i]`, where given, receives output i (any strides) and is returned for it. No
  /// returned tensor shares memory with an input, a weight or another output.
  /// Throws `invalidArgument`, `invalidShape` or `invalidDType` naming the input or destination,
  /// `cancelled`, `invalidState` when a run of this executor is under way on another thread, and
  /// what the operators throw, with node and operator named.
  package func run(
    _ inputs: [Tensor], destinations: [Tensor?] = [], mode: MathMode? = nil,
    progress: ProgressCallback? = nil
  ) throws(MartletError) -> [Tensor] {
    guard !busy.exchange(true, ordering: .acquiring) else {
      throw MartletError(
        .invalidState, "this run context is running on another thread; make one per thread")
    }
    defer {
      frames.releaseAll()
      busy.store(false, ordering: .releasing)
    }
    try plan.checkInputs(inputs)
    try plan.checkDestinations(destinations)
    context.mode = MathMode.effective(argument: mode)
    try layouts.prepare(inputs, &frames, context)
    defer { layouts.finish(context) }
    place(plan.usableDestinations(destinations, inputs: inputs))
    for (readers, input) in zip(plan.inputReaders, inputs) {
      frames.give(.tensor(input), to: readers)
    }
    for (index, source) in plan.outputSources.enumerated() {
      if case .constant(let tensor) = source { frames.outputs[index] = .tensor(tensor) }
    }
    try runNodes(progress)
    return try collectOutputs(inputs, destinations)
  }

  /// Sends outputs of the graph to the caller's memory.
  private func place(_ destinations: [Tensor?]) {
    guard !destinations.isEmpty else { return }
    for (result, output) in plan.outputResults { context.places[result] = destinations[output] }
  }

  // MARK: - The loop

  private func runNodes(_ progress: ProgressCallback?) throws(MartletError) {
    let plan = plan
    let isProfiling = isProfiling
    for index in plan.nodes.indices {
      if progress != nil {
        try Progress.report("run", index, of: plan.nodes.count, to: progress)
      }
      if layouts.isSkipped(index), !frames.isLoose(index) { continue }
      let results = plan.nodes[index].results
      context.begin(places: results, areGiven: plan.nodes[index].hasOutput)
      layouts.begin(index, context)
      let start = isProfiling ? mp_now_ns() : 0
      do throws(MartletError) {
        try plan.nodes[index].operation.run(frames.inputs[index], context)
        if isProfiling { nanoseconds[index] += mp_now_ns() - start }
        try handOn(results)
      } catch {
        throw error.at(plan.graph.nodes[index])
      }
      if context.isRecording { layouts.note(plan.nodes[index], frames.inputs[index], context) }
      if !context.executions.isEmpty || !executions[index].isEmpty {
        if executions[index] != context.executions { executions[index] = context.executions }
        context.executions.removeAll(keepingCapacity: true)
      }
      frames.release(index)
    }
    if isProfiling { profiledRuns += 1 }
    if progress != nil {
      try Progress.report("run", plan.nodes.count, of: plan.nodes.count, to: progress)
    }
  }

  /// Gives the current node's results to their readers, which have those that were laid out already.
  @inline(__always)
  private func handOn(_ results: Range<Int>) throws(MartletError) {
    guard context.results.count >= results.count else {
      throw MartletError(
        .invalidModel,
        "the node names \(results.count) outputs, the operator gives \(context.results.count)",
        expected: "at most \(context.results.count) outputs", actual: "\(results.count)")
    }
    for (position, result) in results.enumerated() {
      guard case .tensor(let tensor)? = context.results[position] else {
        frames.give(context.results[position], to: plan.readers[result])
        continue
      }
      if layouts.holds(tensor, result) { continue }
      frames.give(.tensor(try layouts.lasting(tensor, context)), to: plan.readers[result])
    }
  }

  /// The outputs, each in memory of its own or the caller's.
  private func collectOutputs(_ inputs: [Tensor], _ destinations: [Tensor?]) throws(MartletError)
    -> [Tensor]
  {
    var taken: Set<ObjectIdentifier> = []
    for input in inputs { taken.insert(ObjectIdentifier(input.storage)) }
    if let arena = layouts.arena { taken.insert(ObjectIdentifier(arena)) }
    var results: [Tensor] = []
    for (index, value) in try outputValues(destinations).enumerated() {
      if index < destinations.count, let destination = destinations[index] {
        if !destination.isSameView(as: value) { value.copyElements(to: destination) }
        taken.insert(ObjectIdentifier(destination.storage))
        results.append(destination)
        continue
      }
      let identity = ObjectIdentifier(value.storage)
      let isFresh = taken.insert(identity).inserted && !plan.constantStorages.contains(identity)
      let isOwn = isFresh && value.isContiguous && !value.storage.isReadOnly
      results.append(isOwn ? value : try recycledCopy(value))
    }
    return results
  }

  /// What the outputs are, none of which lies where a destination is yet to be written: a result that
  /// is a view of an input must leave it before another takes its place.
  private func outputValues(_ destinations: [Tensor?]) throws(MartletError) -> [Tensor] {
    var values: [Tensor] = []
    for index in plan.outputSources.indices {
      guard let value = frames.outputs[index]?.tensor else {
        throw MartletError(
          .internalError, "output '\(plan.graph.outputs[index].name)' was not computed")
      }
      if index < destinations.count, let destination = destinations[index] {
        guard destination.dtype == value.dtype, destination.shape == value.shape else {
          throw plan.destinationError(index, destination, actual: value)
        }
      }
      values.append(value)
    }
    let given = destinations.enumerated().filter { $1 != nil }
    for (index, value) in values.enumerated() where !given.isEmpty {
      for case (let place, let destination?) in given where destination.overlaps(value) {
        if place == index && destination.isSameView(as: value) { continue }
        values[index] = try recycledCopy(value)
        break
      }
    }
    return values
  }

  private func recycledCopy(_ value: Tensor) throws(MartletError) -> Tensor {
    let copy = try context.memory.fresh(value.dtype, value.shape)
    value.copyElements(to: copy)
    return copy
  }

  // MARK: - Reports

  /// What each node's matrix work ran as in the last run, in the order of execution.
  ///
  /// With `includingOthers`, nodes without matrix work have a row that says `unchanged`.
  package func precisionReport(includingOthers: Bool = false) -> [PrecisionRow] {
    var rows: [PrecisionRow] = []
    for (index, (node, executions)) in zip(plan.graph.nodes, executions).enumerated() {
      for (place, execution) in executions.enumerated()
      where !executions.prefix(place).contains(execution) {
        rows.append(
          PrecisionRow(
            index: index, node: node.name, operatorName: node.operatorName,
            precision: execution.precision,
            backend: execution.backend, kernel: execution.kernel, reason: execution.reason))
      }
      if executions.isEmpty && includingOthers {
        rows.append(
          PrecisionRow(
            index: index, node: node.name, operatorName: node.operatorName, precision: "unchanged",
            backend: "native", kernel: "", reason: "not matrix work"))
      }
    }
    return rows
  }

  /// Time per node over the runs since `isProfiling` was set, in the order of execution.
  package var profile: [ProfileRow] {
    zip(plan.graph.nodes, nanoseconds).map { node, time in
      ProfileRow(
        node: node.name, operatorName: node.operatorName, nanoseconds: time, runs: profiledRuns)
    }
  }

  package var memoryStatistics: MemoryStatistics {
    let (live, kept, peak) = context.memory.recycler.statistics
    let arena = layouts.arena?.byteCount ?? 0
    return MemoryStatistics(
      live: live, kept: kept + arena, peak: peak + arena, constants: plan.constantBytes)
  }

  /// Gives memory kept for the next run back to the system.
  package func trimMemory() {
    layouts.forget(&frames, context)
    context.memory.recycler.trim()
  }
}
