import MartletBackends
import MartletCore
import MartletOperators
import MartletPlatform

/// The state of running one plan on one thread: the nodes' arguments, memory that is kept from run
/// to run, what nodes ran as, and the same for the plans of the nodes' regions.
final class PlanRunner {
  let plan: Plan
  let context: RunContext
  private let frames: NodeFrames
  private let layouts: ShapeLayouts
  /// By node: its regions.
  private let regions: [Int: [RegionRun]]
  private(set) var executions: [[Execution]]
  private(set) var nanoseconds: [Int64]
  private(set) var profiledRuns = 0

  /// Whether the time of each node is taken; setting it to true starts anew.
  var isProfiling = false {
    didSet {
      guard isProfiling else { return }
      nanoseconds = [Int64](repeating: 0, count: plan.nodes.count)
      profiledRuns = 0
    }
  }

  private let isRegion: Bool
  /// The node that runs.
  private var current = 0

  init(_ plan: Plan, isRegion: Bool = false) {
    self.plan = plan
    self.isRegion = isRegion
    context = RunContext()
    let frames = NodeFrames(plan)
    var regions: [Int: [RegionRun]] = [:]
    for (index, node) in plan.nodes.enumerated() where !node.regions.isEmpty {
      regions[index] = node.regions.map { region in
        RegionRun(
          PlanRunner(region.plan, isRegion: true), frames.inputs[index],
          captures: region.captures)
      }
    }
    self.frames = frames
    self.regions = regions
    layouts = ShapeLayouts(plan, isRegion: isRegion)
    executions = [[Execution]](repeating: [], count: plan.nodes.count)
    nanoseconds = [Int64](repeating: 0, count: plan.nodes.count)
  }

  /// A caller's progress function is called after so many nanoseconds at the earliest, and the clock
  /// read for it once in so many nodes: neither may show beside nodes of a tenth of a microsecond.
  /// Bounds, not tuned.
  private static let reportingInterval: Int64 = 500_000
  private static let reportingStride = 8

  /// The block in which results may lie that the next run writes over.
  var arena: Storage? { layouts.arena }

  /// Computes the plan's outputs, which `output` then gives, until `release`; those that `lasting`
  /// would copy, until the next run.
  ///
  /// Where `destinations[i]` is given, output i may be written there.
  func run(
    _ inputs: [Value?], destinations: [Tensor?], progress: ProgressCallback?
  ) throws(MartletError) {
    defer {
      layouts.finish(context)
      context.regions = []
      context.checkpoint = nil
    }
    setCheckpoint(progress)
    try layouts.prepare(inputs, frames, context)
    if !destinations.isEmpty {
      for (result, output) in plan.outputResults { context.places[result] = destinations[output] }
    }
    try runNodes(progress)
  }

  /// Output `index` of the run before.
  func output(_ index: Int) -> Value? { frames.outputs[index] }

  /// `value`, or a copy where the next run would write over it.
  func lasting(_ value: Value?) throws(MartletError) -> Value? {
    try layouts.lasting(value, context)
  }

  /// Lets go of all values of a run.
  func release() {
    frames.releaseAll()
    context.memory.endNode()
  }

  // MARK: - The loop

  private func runNodes(_ progress: ProgressCallback?) throws(MartletError) {
    // What the loop reads at each node, out of their owners.
    let nodes = plan.nodes
    let arguments = frames.inputs
    let isSkipped = layouts.active?.plan.isSkipped
    let scratch = layouts.active?.scratch
    let values = layouts.active?.values
    let calls = isProfiling ? nil : layouts.active?.calls
    let works = isProfiling ? nil : layouts.active?.works
    let isProfiling = isProfiling
    let isTimed = context.memory.allowance?.isTimed == true
    var nextReport: Int64 = 0
    for index in nodes.indices {
      if progress != nil, index % PlanRunner.reportingStride == 0, mp_now_ns() >= nextReport {
        try Progress.report("run", index, of: nodes.count, to: progress)
        nextReport = mp_now_ns() + PlanRunner.reportingInterval
      }
      if isTimed { try checkTime(index) }
      if let isSkipped, isSkipped[index], !frames.isLoose(index) { continue }
      if let calls, let works, !frames.isLoose(index) {
        if let call = calls[index] {
          call.run()
          continue
        }
        if let work = works[index] {
          try run(work, index)
          continue
        }
      }
      context.begin(places: nodes[index].results, areGiven: nodes[index].hasOutput)
      if let scratch { context.memory.planned.range = scratch[index] }
      current = index
      if nodes[index].hasRegions, let own = regions[index] { context.regions = own }
      let start = isProfiling ? mp_now_ns() : 0
      do throws(MartletError) {
        if nodes[index].mayBeNarrow {
          try nodes[index].operation.runNarrow(arguments[index], context)
        } else {
          try nodes[index].operation.run(arguments[index], context)
        }
        if isProfiling { nanoseconds[index] += mp_now_ns() - start }
        try handOn(nodes[index].results, values)
      } catch {
        throw error.at(plan.graph.nodes[index])
      }
      if context.isRecording { layouts.note(nodes[index], arguments[index], context) }
      if !context.executions.isEmpty || !executions[index].isEmpty { keepExecutions(index) }
      frames.release(index)
    }
    if isProfiling { profiledRuns += 1 }
    if progress != nil {
      try Progress.report("run", nodes.count, of: nodes.count, to: progress)
    }
  }

  /// Throws `limitExceeded`, with the node that comes next, where the run's time is over.
  private func checkTime(_ index: Int) throws(MartletError) {
    do throws(MartletError) { try context.memory.allowance?.checkTime() } catch {
      throw error.at(plan.graph.nodes[index])
    }
  }

  private func run(_ work: any BoundWork, _ index: Int) throws(MartletError) {
    do throws(MartletError) {
      let execution = try work.run(on: context.pool)
      if executions[index].count != 1 || executions[index][0] != execution {
        executions[index] = [execution]
      }
    } catch {
      throw error.at(plan.graph.nodes[index])
    }
  }

  /// Gives the current node's results to their readers, which have those that were laid out already.
  @inline(__always)
  private func handOn(_ results: Range<Int>, _ values: [Tensor?]?) throws(MartletError) {
    guard context.results.count >= results.count else {
      throw MartletError(
        .invalidModel,
        "the node names \(results.count) outputs, the operator gives \(context.results.count)",
        expected: "at most \(context.results.count) outputs", actual: "\(results.count)")
    }
    for position in 0..<results.count {
      let result = results.lowerBound + position
      if let values, context.isResult(position, values[result]) { continue }
      try giveResult(position, result)
    }
  }

  private func giveResult(_ position: Int, _ result: Int) throws(MartletError) {
    try frames.give(
      try layouts.lasting(context.results[position], context), to: plan.readers[result])
  }

  private func keepExecutions(_ index: Int) {
    if executions[index] != context.executions { executions[index] = context.executions }
    context.executions.removeAll(keepingCapacity: true)
  }

  /// Has operators that take long ask at their checkpoints whether the run goes on. Inside a region the
  /// checkpoint is that of the run around it.
  private func setCheckpoint(_ progress: ProgressCallback?) {
    guard !isRegion, progress != nil || context.memory.allowance?.isTimed == true else { return }
    let total = plan.nodes.count
    var nextReport: Int64 = 0
    context.checkpoint = { [unowned self] () throws(MartletError) in
      try context.memory.allowance?.checkTime()
      guard let progress, mp_now_ns() >= nextReport else { return }
      try Progress.report("run", current, of: total, to: progress)
      nextReport = mp_now_ns() + PlanRunner.reportingInterval
    }
  }

  // MARK: - Reports

  /// What each node's matrix work ran as in the last run, in the order of execution; nodes inside
  /// regions stand behind the node that they belong to, with its index.
  func precisionReport(includingOthers: Bool, index outer: Int? = nil) -> [PrecisionRow] {
    var rows: [PrecisionRow] = []
    for (index, (node, executions)) in zip(plan.graph.nodes, executions).enumerated() {
      for (place, execution) in executions.enumerated()
      where !executions.prefix(place).contains(execution) {
        rows.append(
          PrecisionRow(
            index: outer ?? index, node: node.name, operatorName: node.op.description,
            precision: execution.precision,
            backend: execution.backend, kernel: execution.kernel, reason: execution.reason))
      }
      if executions.isEmpty && includingOthers {
        rows.append(
          PrecisionRow(
            index: outer ?? index, node: node.name, operatorName: node.op.description,
            precision: "unchanged", backend: "native", kernel: "", reason: "not matrix work"))
      }
      for region in regions[index] ?? [] {
        rows += region.runner.precisionReport(
          includingOthers: includingOthers, index: outer ?? index)
      }
    }
    return rows
  }

  /// Memory of this runner and those of its regions; constants are the plan's own.
  var memoryStatistics: MemoryStatistics {
    let (live, kept, peak) = context.memory.recycler.statistics
    let arena = layouts.arena?.byteCount ?? 0
    var sum = MemoryStatistics(
      live: live, kept: kept + arena, peak: peak + arena, constants: plan.constantBytes)
    for region in regions.values.joined() {
      let inner = region.runner.memoryStatistics
      sum.live += inner.live
      sum.kept += inner.kept
      sum.peak += inner.peak
      sum.constants += inner.constants
    }
    return sum
  }

  /// Tells the plan what a run took, where that may differ from the run before.
  func noteMemory() {
    guard layouts.runsSinceChange <= 1 else { return }
    plan.lastRun.set(arena: layouts.arena?.byteCount ?? 0, peak: memoryStatistics.peak)
  }

  /// Gives memory kept for the next run back to the system.
  func trimMemory() {
    layouts.forget(frames, context)
    context.memory.recycler.trim()
    for region in regions.values.joined() { region.runner.trimMemory() }
  }
}
