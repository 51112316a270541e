import MartletBackends
import MartletCore
import MartletOperators

/// The layouts of one executor's memory, by the shapes of a run's inputs: the first run with certain
/// shapes is recorded, the second is laid out, and the runs after it allocate nothing for what is.
///
/// One arena serves all layouts; it is as large as the largest of those in use. Of records and plans
/// the `limit` that were used last are kept.
///
/// In a region, which may run thousands of times within one node, inputs and outputs of at most
/// `smallBytes` have places in the arena too: inputs are copied there.
final class ShapeLayouts {
  private enum State {
    case recorded(RunRecord)
    case planned(ShapePlan)
  }

  private static let limit = 8
  /// A copy of this size takes no longer than the memory of its own would. A bound, not tuned.
  private static let smallBytes = 4096

  /// After so many runs of one layout, memory that was for others and is a multiple of its own goes.
  private static let shrinkingRun = 16
  private var isArenaLarge: Bool {
    (arena?.byteCount ?? 0) > 4 * activeBytes + ShapeLayouts.spareBytes
  }
  private static let spareBytes = 1 << 20

  private let plan: Plan
  private let isRegion: Bool
  /// The last used stands last.
  private var known: [(shapes: [[Int]?], state: State)] = []
  private var recording: (shapes: [[Int]?], record: RunRecord)?
  /// What the frames are bound to.
  private(set) var active: Active?
  private(set) var arena: Storage?
  /// Runs since the layout changed.
  private(set) var runsSinceChange = 0
  /// What the active layout takes of the arena, and what this run has of its allowance for it.
  private var activeBytes = 0
  private var takenBytes = 0

  /// A layout with its tensors in the arena.
  struct Active {
    let shapes: [[Int]?]
    let plan: ShapePlan
    /// By result: where its node writes it, and what its readers are bound to.
    let places: [Tensor?]
    let values: [Tensor?]
    /// By node: its part of the planned scratch.
    let scratch: [Range<Int>]
    /// By input of the graph: where it is copied to.
    let inputs: [Tensor?]
    /// By node: what it comes to where its operands are what they are bound to, if that is one call.
    let calls: [KernelCall?]
    let works: [(any BoundWork)?]
    /// What works are bound for.
    let preparation: Preparation

    /// Whether a run of these options gives the bits that works do.
    func suits(_ context: RunContext) -> Bool {
      preparation.mode == context.mode
        && preparation.options.permitsWinograd == context.options.permitsWinograd
    }
  }

  init(_ plan: Plan, isRegion: Bool) {
    self.plan = plan
    self.isRegion = isRegion
  }

  // MARK: - Around a run

  /// Makes ready for a run with these inputs, which it hands to their readers: binds the layout of
  /// their shapes or starts recording. What is laid out counts against the run's allowance.
  func prepare(
    _ inputs: [Value?], _ frames: NodeFrames, _ context: RunContext
  ) throws(MartletError) {
    if let active, active.suits(context), ShapeLayouts.match(active.shapes, inputs) {
      runsSinceChange += 1
      if runsSinceChange != ShapeLayouts.shrinkingRun || !isArenaLarge {
        context.places = active.places
        try takeArena(context)
        return try give(inputs, frames, context)
      }
    }
    try MemoryReserve.checkRoom(1024 * plan.readers.count)
    // Another layout is about to lie where these may.
    var own: [Value?] = []
    for input in inputs { own.append(try lasting(input, context)) }
    if runsSinceChange == ShapeLayouts.shrinkingRun { arena = nil }
    runsSinceChange = 0
    try change(own, frames, context)
    try takeArena(context)
    try give(own, frames, context)
  }

  private func change(
    _ inputs: [Value?], _ frames: NodeFrames, _ context: RunContext
  ) throws(MartletError) {
    let index = known.lastIndex { ShapeLayouts.match($0.shapes, inputs) }
    guard let index else {
      unbind(frames, context)
      context.places = [Tensor?](repeating: nil, count: plan.readers.count)
      recording = (inputs.map(ShapeLayouts.shape), RunRecord())
      context.isRecording = true
      return
    }
    let entry = known.remove(at: index)
    let layout: ShapePlan
    switch entry.state {
    case .planned(let known): layout = known
    case .recorded(let record):
      layout = ShapePlan(record, plan, keptBytes: isRegion ? ShapeLayouts.smallBytes : 0)
    }
    known.append((entry.shapes, .planned(layout)))
    try bind(layout, entry.shapes, inputs, frames, context)
    context.places = active?.places ?? []
  }

  private func takeArena(_ context: RunContext) throws(MartletError) {
    guard let allowance = context.memory.allowance, active != nil else { return }
    try allowance.take(bytes: activeBytes)
    takenBytes = activeBytes
  }

  private func give(
    _ inputs: [Value?], _ frames: NodeFrames, _ context: RunContext
  ) throws(MartletError) {
    for (index, readers) in plan.inputReaders.enumerated() {
      if let active, let place = active.inputs[index], case .tensor(let tensor)? = inputs[index],
        tensor.dtype == place.dtype, tensor.isContiguous
      {
        place.pointer.copyMemory(
          from: tensor.pointer, byteCount: place.byteCount)
        continue
      }
      // What lies in the arena may be written over before its reader comes.
      try frames.give(try lasting(inputs[index], context), to: readers)
    }
    for (index, source) in plan.outputSources.enumerated() {
      switch source {
      case .constant(let tensor): frames.outputs[index] = .tensor(tensor)
      case .result(let result):
        if let active, let value = active.values[result] { frames.outputs[index] = .tensor(value) }
      case .absent, .input: continue
      }
    }
  }

  /// Ends a run, of which the record is kept if it came to its end.
  func finish(_ context: RunContext) {
    if takenBytes > 0 {
      context.memory.allowance?.giveBack(bytes: takenBytes)
      takenBytes = 0
    }
    context.places = []
    context.isRecording = false
    guard let recording else { return }
    self.recording = nil
    guard recording.record.scratch.count == plan.nodes.count else { return }
    if known.count == ShapeLayouts.limit { known.removeFirst() }
    known.append((recording.shapes, .recorded(recording.record)))
  }

  /// Gives up the arena and all that is known.
  func forget(_ frames: NodeFrames, _ context: RunContext) {
    unbind(frames, context)
    arena = nil
    known = []
  }

  /// What a layout depends on of an input: nothing of sequences, nor of states, which grow all the time.
  private static func shape(_ value: Value?) -> [Int]? {
    if case .tensor(let tensor)? = value { tensor.shape } else { nil }
  }

  private static func match(_ shapes: [[Int]?], _ inputs: [Value?]) -> Bool {
    for index in inputs.indices {
      guard case .tensor(let tensor)? = inputs[index] else {
        if shapes[index] != nil { return false }
        continue
      }
      if tensor.layout.shape != shapes[index] { return false }
    }
    return true
  }

  private func bind(
    _ layout: ShapePlan, _ shapes: [[Int]?], _ inputs: [Value?], _ frames: NodeFrames,
    _ context: RunContext
  ) throws(MartletError) {
    unbind(frames, context)
    // What runs before this one kept is of no use any more.
    context.memory.recycler.restart()
    let (offsets, bytes) = inputOffsets(inputs, after: layout.arenaBytes)
    activeBytes = bytes
    if (arena?.byteCount ?? -1) < bytes {
      arena = nil
      arena = try Storage(byteCount: bytes, isArena: true)
    }
    guard let arena else { return }
    let copies = zip(inputs, offsets).map { input, offset -> Tensor? in
      guard let offset, let tensor = input?.tensor else { return nil }
      return Tensor(
        unchecked: arena, dtype: tensor.dtype, layout: TensorLayout(contiguous: tensor.shape),
        byteOffset: offset)
    }
    for (copy, readers) in zip(copies, plan.inputReaders) {
      if let copy { frames.bind(.tensor(copy), to: readers) }
    }
    let scratch = layout.scratch(in: arena)
    let values = layout.values(in: arena)
    context.memory.planned.tensors = scratch.tensors
    for (result, value) in values.enumerated() {
      if let value { frames.bind(.tensor(value), to: plan.readers[result]) }
    }
    let places = layout.places(in: arena)
    let fixed = fixedResults(layout, places, values, frames)
    let preparation = Preparation(context.options)
    let calls = zip(plan.nodes.indices, fixed).map { index, place in
      place.flatMap { plan.nodes[index].operation.call(frames.inputs[index], into: $0) }
    }
    let works = zip(plan.nodes.indices, fixed).map { index, place in
      place.flatMap {
        plan.nodes[index].operation.bind(frames.inputs[index], into: $0, preparation)
      }
    }
    active = Active(
      shapes: shapes, plan: layout, places: places, values: values, scratch: scratch.ranges,
      inputs: copies, calls: calls, works: works, preparation: preparation)
  }

  /// By node: the place of its one result, where that and all of its operands stay where they are.
  private func fixedResults(
    _ layout: ShapePlan, _ places: [Tensor?], _ values: [Tensor?], _ frames: NodeFrames
  ) -> [Tensor?] {
    plan.nodes.indices.map { index in
      let node = plan.nodes[index]
      guard !node.hasRegions, !layout.isSkipped[index], node.results.count == 1,
        let result = node.results.first, let place = places[result],
        values[result]?.isSamePlace(as: place) == true, frames.isBound(index)
      else { return nil }
      return place
    }
  }

  /// Where small inputs of a region are copied to, and the end of the last.
  private func inputOffsets(_ inputs: [Value?], after start: Int) -> ([Int?], end: Int) {
    var end = start
    let offsets = zip(inputs, plan.inputReaders).map { input, readers -> Int? in
      // An output that is an input is handed on as it is.
      guard isRegion, case .tensor(let tensor)? = input, tensor.dtype != .string,
        tensor.count > 0, !readers.isEmpty,
        readers.allSatisfy({ $0.node >= 0 }),
        let bytes = try? Shape.byteCount(tensor.shape, tensor.dtype),
        bytes <= ShapeLayouts.smallBytes
      else { return nil }
      defer { end += ArenaLayout.rounded(bytes) }
      return end
    }
    return (offsets, end)
  }

  private func unbind(_ frames: NodeFrames, _ context: RunContext) {
    guard let active else { return }
    for (result, value) in active.values.enumerated() where value != nil {
      frames.bind(nil, to: plan.readers[result])
    }
    for (copy, readers) in zip(active.inputs, plan.inputReaders) where copy != nil {
      frames.bind(nil, to: readers)
    }
    context.memory.planned = RunMemory.PlannedScratch()
    self.active = nil
  }

  // MARK: - Within a run

  /// `tensor` itself, unless it lies in the arena, where it has no place of its own: then a copy.
  func lasting(_ tensor: Tensor, _ context: RunContext) throws(MartletError) -> Tensor {
    guard let arena, tensor.storage === arena else { return tensor }
    return try context.memory.copy(tensor)
  }

  func lasting(_ value: Value?, _ context: RunContext) throws(MartletError) -> Value? {
    switch value {
    case nil: return nil
    case .tensor(let tensor)?: return .tensor(try lasting(tensor, context))
    case let compound?:
      guard compound.liesInArena else { return compound }
      return try compound.mapTensors { tensor throws(MartletError) in
        try lasting(tensor, context)
      }
    }
  }

  /// Writes down what a node has just done.
  func note(_ node: Plan.PreparedNode, _ inputs: Inputs, _ context: RunContext) {
    recording?.record.note(node, inputs, context)
  }
}
