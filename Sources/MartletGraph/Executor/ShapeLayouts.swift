import MartletCore
import MartletOperators

/// The layouts of one executor's memory, by the shapes of a run's inputs: the first run with certain
/// shapes is recorded, the second is laid out, and the runs after it allocate nothing for what is.
///
/// One arena serves all layouts; it is as large as the largest of those in use. Of records and plans
/// the `limit` that were used last are kept.
final class ShapeLayouts {
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
  private(set) var active: Active?
  private(set) var arena: Storage?

  /// A layout with its tensors in the arena.
  struct Active {
    let shapes: [[Int]?]
    let plan: ShapePlan
    /// By result: where its node writes it, and what its readers are bound to.
    let places: [Tensor?]
    let values: [Tensor?]
    /// By node: its part of the planned scratch.
    let scratch: [Range<Int>]
  }

  init(_ plan: Plan) { self.plan = plan }

  // MARK: - Around a run

  /// Makes ready for a run with these inputs: binds the layout of their shapes or starts recording.
  func prepare(
    _ inputs: [Value?], _ frames: NodeFrames, _ context: RunContext
  ) throws(MartletError) {
    if let active, ShapeLayouts.match(active.shapes, inputs) {
      context.places = active.places
      return
    }
    let index = known.lastIndex { ShapeLayouts.match($0.shapes, inputs) }
    guard let index else {
      unbind(frames, context)
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
    try bind(layout, entry.shapes, frames, context)
    context.places = active?.places ?? []
  }

  /// Ends a run, of which the record is kept if it came to its end.
  func finish(_ context: RunContext) {
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
    _ layout: ShapePlan, _ shapes: [[Int]?], _ frames: NodeFrames, _ context: RunContext
  ) throws(MartletError) {
    unbind(frames, context)
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

  private func unbind(_ frames: NodeFrames, _ context: RunContext) {
    guard let active else { return }
    for (result, value) in active.values.enumerated() where value != nil {
      frames.bind(nil, to: plan.readers[result])
    }
    context.memory.planned = RunMemory.PlannedScratch()
    self.active = nil
  }

  // MARK: - Within a run

  /// `tensor` itself, unless it lies in the arena, where it has no place of its own: then a copy.
  func lasting(_ tensor: Tensor, _ context: RunContext) throws(MartletError) -> Tensor {
    guard let arena, tensor.storage === arena else { return tensor }
    let copy = try context.memory.fresh(tensor.dtype, tensor.shape)
    tensor.copyElements(to: copy)
    return copy
  }

  /// Writes down what a node has just done.
  func note(_ node: Plan.PreparedNode, _ inputs: Inputs, _ context: RunContext) {
    recording?.record.note(node, inputs, context)
  }
}
