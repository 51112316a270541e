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
  private let pool: ThreadPool
  private let permitsWinograd: Bool?
  private let memory = MemoryRecycler()
  private let busy = Atomic<Bool>(false)
  private var slots: [Tensor?]
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
    self.pool = pool
    self.permitsWinograd = permitsWinograd
    slots = [Tensor?](repeating: nil, count: plan.slotCount)
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
      for index in slots.indices { slots[index] = nil }
      busy.store(false, ordering: .releasing)
    }
    try plan.checkInputs(inputs)
    try plan.checkDestinations(destinations)
    for (slot, input) in zip(plan.inputSlots, inputs) { slots[slot] = input }
    let context = RunContext(
      mode: MathMode.effective(argument: mode), pool: pool, memory: memory,
      permitsWinograd: permitsWinograd)
    try runNodes(context, plan.usableDestinations(destinations, inputs: inputs), progress)
    return try collectOutputs(inputs, destinations)
  }

  // MARK: - The loop

  private func runNodes(
    _ context: RunContext, _ destinations: [Tensor?], _ progress: ProgressCallback?
  ) throws(MartletError) {
    let plan = plan
    let isProfiling = isProfiling
    var arguments: [Tensor?] = []
    for index in plan.nodes.indices {
      if progress != nil {
        try Progress.report("run", index, of: plan.nodes.count, to: progress)
      }
      let node = plan.nodes[index]
      for position in node.inputs {
        let operand = plan.operands[position]
        if operand >= 0 {
          arguments.append(slots[operand])
        } else if operand == Plan.absent {
          arguments.append(nil)
        } else {
          arguments.append(plan.constants[~operand])
        }
      }
      if node.hasDestination && !destinations.isEmpty {
        context.destinations = node.outputs.map {
          plan.results[$0].output >= 0 ? destinations[plan.results[$0].output] : nil
        }
      }
      let start = isProfiling ? mp_now_ns() : 0
      let outputs: [Tensor]
      do throws(MartletError) { outputs = try node.operation.run(arguments, context) } catch {
        throw error.at(plan.graph.nodes[index])
      }
      if isProfiling { nanoseconds[index] += mp_now_ns() - start }
      guard outputs.count >= node.outputs.count else {
        throw MartletError(
          .invalidModel,
          "the node names \(node.outputs.count) outputs, the operator gives \(outputs.count)",
          expected: "at most \(outputs.count) outputs", actual: "\(node.outputs.count)"
        ).at(plan.graph.nodes[index])
      }
      for (position, output) in zip(node.outputs, outputs) where plan.results[position].slot >= 0 {
        slots[plan.results[position].slot] = output
      }
      if !context.destinations.isEmpty { context.destinations = [] }
      if !context.executions.isEmpty || !executions[index].isEmpty {
        executions[index] = context.executions
        context.executions = []
      }
      for position in node.released { slots[plan.releases[position]] = nil }
      arguments.removeAll(keepingCapacity: true)
    }
    if isProfiling { profiledRuns += 1 }
    if progress != nil {
      try Progress.report("run", plan.nodes.count, of: plan.nodes.count, to: progress)
    }
  }

  /// The outputs, each in memory of its own or the caller's.
  private func collectOutputs(_ inputs: [Tensor], _ destinations: [Tensor?]) throws(MartletError)
    -> [Tensor]
  {
    var taken: Set<ObjectIdentifier> = []
    for input in inputs { taken.insert(ObjectIdentifier(input.storage)) }
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
    for (index, operand) in plan.outputOperands.enumerated() {
      let value: Tensor
      if operand < 0 {
        value = plan.constants[~operand]
      } else if let computed = slots[operand] {
        value = computed
      } else {
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
    let bytes = try Shape.byteCount(value.shape, value.dtype)
    let copy = Tensor(
      unchecked: try memory.storage(byteCount: bytes), dtype: value.dtype, shape: value.shape,
      strides: Shape.contiguousStrides(value.shape), byteOffset: 0)
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
    let (live, kept, peak) = memory.statistics
    return MemoryStatistics(live: live, kept: kept, peak: peak, constants: plan.constantBytes)
  }

  /// Gives memory kept for the next run back to the system.
  package func trimMemory() { memory.trim() }
}
