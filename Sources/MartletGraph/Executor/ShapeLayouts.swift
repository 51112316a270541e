import MartletCore
import MartletOperators

/// The layouts of one executor's memory, by the shapes of a run's inputs: the first run with certain
/// shapes is recorded, the second is laid out, and the runs after it allocate nothing for what is.
///
/// One arena serves all layouts; it is as large as the largest of those in use. Of records and plans
/// the `limit` that were used last are kept.
struct ShapeLayouts {
  private enum State {
    case recorded(RunRecord)
    case planned(ShapePlan)
  }

  private static let limit = 8

  private let plan: Plan
  /// The last used stands last.
  private var known: [(shapes: [[Int]?], state: State)] = []
  private var recording: (shapes: [[Int]?], record: RunRecord)?
  /// What the frames are bound to.
  private var active: Active?
  private(set) var arena: Storage?

  private struct Active {
    let shapes: [[Int]?]
    let plan: ShapePlan
    let places: [Tensor?]
    let values: [Tensor?]
    let scratch: [Range<Int>]
  }

  init(_ plan: Plan) { self.plan = plan }

  // MARK: - Around a run

  /// Makes ready for a run with these inputs: binds the layout of their shapes or starts recording.
  mutating func prepare(
    _ inputs: [Value?], _ frames: inout NodeFrames, _ context: RunContext
  ) throws(MartletError) {
    if let active, ShapeLayouts.match(active.shapes, inputs) {
      context.places = active.places
      return
    }
    let index = known.lastIndex { ShapeLayouts.match($0.shapes, inputs) }
    guard let index else {
      unbind(&frames, context)
      context.places = [Tensor?](repeating: nil, count: plan.readers.count)
      recording = (inputs.map { $0?.tensor?.shape }, RunRecord())
      context.isRecording = true
      return
    }
    let entry = known.remove(at: index)
    let layout: ShapePlan
    switch entry.state {
    case .planned(let known): layout = known
    case .recorded(let record): layout = ShapePlan(record, plan)
    }
    known.append((entry.shapes, .planned(layout)))
    try bind(layout, entry.shapes, &frames, context)
    context.places = active?.places ?? []
  }

  /// Ends a run, of which the record is kept if it came to its end.
  mutating func finish(_ context: RunContext) {
    context.places = []
    context.isRecording = false
    guard let recording else { return }
    self.recording = nil
    guard recording.record.scratch.count == plan.nodes.count else { return }
    if known.count == ShapeLayouts.limit { known.removeFirst() }
    known.append((recording.shapes, .recorded(recording.record)))
  }

  /// Gives up the arena and all that is known.
  mutating func forget(_ frames: inout NodeFrames, _ context: RunContext) {
    unbind(&frames, context)
    arena = nil
    known = []
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

  private mutating func bind(
    _ layout: ShapePlan, _ shapes: [[Int]?], _ frames: inout NodeFrames, _ context: RunContext
  ) throws(MartletError) {
    unbind(&frames, context)
    // What runs before this one kept is of no use any more.
    context.memory.recycler.restart()
    if (arena?.byteCount ?? -1) < layout.arenaBytes {
      arena = nil
      arena = try Storage(byteCount: layout.arenaBytes)
    }
    guard let arena else { return }
    let scratch = layout.scratch(in: arena)
    let values = layout.values(in: arena)
    context.memory.planned.tensors = scratch.tensors
    for (result, value) in values.enumerated() {
      if let value { frames.bind(.tensor(value), to: plan.readers[result]) }
    }
    active = Active(
      shapes: shapes, plan: layout, places: layout.places(in: arena), values: values,
      scratch: scratch.ranges)
  }

  private mutating func unbind(_ frames: inout NodeFrames, _ context: RunContext) {
    guard let active else { return }
    for (result, value) in active.values.enumerated() where value != nil {
      frames.bind(nil, to: plan.readers[result])
    }
    context.memory.planned = RunMemory.PlannedScratch()
    self.active = nil
  }

  // MARK: - Within a run

  /// Whether node `index` has nothing to do: its results are views that are bound.
  func isSkipped(_ index: Int) -> Bool { active?.plan.isSkipped[index] ?? false }

  /// Goes on to node `index`.
  func begin(_ index: Int, _ context: RunContext) {
    guard let active else { return }
    let range = active.scratch[index]
    context.memory.planned.next = range.lowerBound
    context.memory.planned.end = range.upperBound
  }

  /// Whether `tensor` is what the readers of `result` are bound to.
  func holds(_ tensor: Tensor, _ result: Int) -> Bool {
    guard let value = active?.values[result] else { return false }
    return value.storage === tensor.storage && value.byteOffset == tensor.byteOffset
      && value.layout.isEqual(tensor.layout)
  }

  /// `tensor` itself, unless it lies in the arena, where it has no place of its own: then a copy.
  func lasting(_ tensor: Tensor, _ context: RunContext) throws(MartletError) -> Tensor {
    guard let arena, tensor.storage === arena else { return tensor }
    let copy = try context.memory.fresh(tensor.dtype, tensor.shape)
    tensor.copyElements(to: copy)
    return copy
  }

  /// Writes down what a node has just done.
  mutating func note(_ node: Plan.PreparedNode, _ inputs: Inputs, _ context: RunContext) {
    recording?.record.note(node, inputs, context)
  }
}
