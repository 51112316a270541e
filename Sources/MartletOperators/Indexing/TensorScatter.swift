import MartletBackends
import MartletCore

/// A cache with some of its slices along `axis` replaced by those of `update`, for each sample of the
/// batch from its own index on.
///
/// past_cache [B, ..., T, ...], update [B, ..., S, ...] with S <= T, write_indices [B] (zeros). Linear:
/// sample b's slices go to write_indices[b] up to write_indices[b] + S, which is at most T; circular: each
/// goes to its index modulo T, also where that is negative.
///
/// A past_cache that is a state is written over and handed on, if nothing else in the run reads it; the
/// state that was given is used up. So is a temporary that is not read again.
///
/// Source: ONNX TensorScatter-24.
package struct TensorScatter: Operator {
  package static let schema = OperatorSchema(
    name: "TensorScatter", inputs: ["past_cache", "update", "write_indices"], requiredInputs: 2,
    outputs: ["present_cache"],
    attributes: [
      "axis": "along which, not the first, -2", "mode": "linear or circular; linear",
    ], traits: [.anyElement, .inPlace(with: [0]), .narrow(.moved)])
  private let axis: Int
  private let isCircular: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -2)
    let mode = try node.attributes.string("mode", default: "linear")
    guard mode == "linear" || mode == "circular" else {
      throw MartletError(
        .invalidArgument, "TensorScatter: attribute 'mode' must be linear or circular, got \(mode)",
        operatorName: "TensorScatter", input: "mode", expected: "linear or circular", actual: mode)
    }
    isCircular = mode == "circular"
  }

  private func axis(ofRank rank: Int) throws(MartletError) -> Int {
    let axis = try Shape.normalizedAxis(self.axis, rank: rank, operatorName: "TensorScatter")
    guard axis > 0 else {
      throw .shape(
        "TensorScatter", "axis \(self.axis) is that of the batch",
        expected: "an axis behind the first",
        actual: "axis \(self.axis) of rank \(rank)", input: "axis")
    }
    return axis
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    if let rank = inputs.type(0)?.rank { _ = try axis(ofRank: rank) }
    return [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let past = try inputs.required(0)
    let update = try inputs.required(1, like: past.dtype)
    let axis = try axis(ofRank: past.rank)
    var expected = past.shape
    if update.rank == past.rank { expected[axis] = min(update.shape[axis], past.shape[axis]) }
    guard update.shape == expected else {
      throw .shape(
        "TensorScatter", "update does not fit past_cache",
        expected: "\(Shape.text(past.shape)), at most so much along axis \(axis)",
        actual: Shape.text(update.shape), input: "update")
    }
    let starts = try starts(inputs, past.shape, axis, update.shape[axis], context)
    if let state = inputs.state(0) {
      let next = try state.overwritten(
        inPlace: inputs.isOnlyReader && context.areStatesAlone, context.memory)
      write(update, into: next.tensor, axis, starts, context)
      return context.deliver(.state(next))
    }
    let present = try context.output(0, past.dtype, past.shape)
    if !present.isSameView(as: past) { Copying.copy(past, into: present, context.workspace) }
    write(update, into: present, axis, starts, context)
    context.deliver(present)
  }

  /// For each sample, where the first slice goes; nil: to 0.
  private func starts(
    _ inputs: Inputs, _ shape: [Int], _ axis: Int, _ count: Int, _ context: RunContext
  ) throws(MartletError) -> [Int]? {
    guard let indices = try inputs.optional(2, like: .int64) else { return nil }
    guard indices.shape == [shape[0]] else {
      throw .shape(
        "TensorScatter", "write_indices are not one for each sample",
        expected: "[\(shape[0])]", actual: Shape.text(indices.shape), input: "write_indices")
    }
    var starts = try inputs.integers(2, context)
    let extent = shape[axis]
    for (sample, start) in starts.enumerated() {
      if isCircular {
        let rest = extent == 0 ? 0 : start % extent
        starts[sample] = rest < 0 ? rest + extent : rest
      } else if start < 0 || start > extent - count {
        throw MartletError(
          .invalidArgument,
          "TensorScatter: write_indices[\(sample)] is \(start), where \(count) slices go into \(extent) along axis \(axis)",
          operatorName: "TensorScatter", input: "write_indices", expected: "0...\(extent - count)",
          actual: "\(start)")
      }
    }
    return starts
  }

  /// Copies the update's slices to their places, in up to two pieces for each sample.
  private func write(
    _ update: Tensor, into cache: Tensor, _ axis: Int, _ starts: [Int]?, _ context: RunContext
  ) {
    let (extent, count) = (cache.shape[axis], update.shape[axis])
    func copy(_ from: Tensor, _ first: Int, _ to: Tensor, _ start: Int, _ count: Int) {
      guard count > 0 else { return }
      Copying.copy(
        from.sliced(axis: axis, start: first, count: count, step: 1),
        into: to.sliced(axis: axis, start: start, count: count, step: 1), context.workspace)
    }
    guard let starts else { return copy(update, 0, cache, 0, count) }
    for (sample, start) in starts.enumerated() {
      let from = update.sliced(axis: 0, start: sample, count: 1, step: 1)
      let to = cache.sliced(axis: 0, start: sample, count: 1, step: 1)
      let whole = min(count, extent - start)
      copy(from, 0, to, start, whole)
      copy(from, whole, to, 0, count - whole)
    }
  }
}
