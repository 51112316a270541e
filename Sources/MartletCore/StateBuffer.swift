import Glibc
import Synchronization

/// Memory for a tensor that grows along one axis, as a cache of keys does: room for `capacity`
/// slices, of which the first are in use.
///
/// An append writes nothing that is in use, so a state is a value like any other: one that was taken
/// before an append stays as it was. Only the state that holds all slices in use grows in place; another
/// one is copied when it is appended to. Writing over a state, which `overwritten` is asked for, uses up
/// that state and all that share its memory: they are refused from then on.
///
/// @unchecked Sendable: slices are claimed by one appender each, by a compare-and-exchange of the
/// number in use, and not written after that appender's `State` is handed on; so is the whole by one
/// that writes over it, by a compare-and-exchange of the generation.
package final class StateBuffer: @unchecked Sendable {
  /// All of the room; contiguous.
  fileprivate let room: Tensor
  fileprivate let axis: Int
  private let used: Atomic<Int>
  /// How often what is in use was written over.
  private let generation = Atomic<Int>(0)

  fileprivate init(
    _ dtype: DType, _ shape: [Int], axis: Int, capacity: Int, used: Int, _ memory: RunMemory?
  ) throws(MartletError) {
    var shape = shape
    shape[axis] = capacity
    room = try Tensor(uninitialized: dtype, shape, memory?.allowance)
    self.axis = axis
    self.used = Atomic(used)
  }

  /// Takes the slices from `start` on for one appender; false where they are not there, or somebody
  /// else's.
  fileprivate func claim(_ count: Int, from start: Int) -> Bool {
    guard count <= room.shape[axis] - start else { return false }
    return used.compareExchange(
      expected: start, desired: start + count, ordering: .acquiringAndReleasing
    ).exchanged
  }

  fileprivate var currentGeneration: Int { generation.load(ordering: .acquiring) }

  /// Takes all slices in use for one that writes over them; false where `length` are not all, or
  /// somebody else has.
  fileprivate func claimAll(_ length: Int, generation current: Int) -> Bool {
    guard used.load(ordering: .acquiring) == length else { return false }
    return generation.compareExchange(
      expected: current, desired: current + 1, ordering: .acquiringAndReleasing
    ).exchanged
  }

  fileprivate func slices(_ count: Int) -> Tensor {
    room.sliced(axis: axis, start: 0, count: count, step: 1)
  }
}

/// A tensor that can be appended to along an axis without copying what it holds.
package struct State: Sendable {
  private let buffer: StateBuffer
  /// The elements in use; strided where the axis is not the first.
  package let tensor: Tensor
  private let generation: Int

  /// The axis that it grows along.
  package var axis: Int { buffer.axis }
  /// Slices along the axis, and how many there is room for.
  package var length: Int { tensor.shape[buffer.axis] }
  package var capacity: Int { buffer.room.shape[buffer.axis] }

  private init(_ buffer: StateBuffer, length: Int, generation: Int) {
    self.buffer = buffer
    self.generation = generation
    tensor = buffer.slices(length)
  }

  /// A state with a copy of these elements and room for `capacity` slices, at least those given, whose
  /// memory counts as that of the run that `memory` is of.
  ///
  /// Throws `invalidArgument` for an axis that is not the tensor's or a capacity below its extent,
  /// `invalidDType` for strings and narrow dtypes, `invalidShape` and `outOfMemory`.
  package init(
    _ initial: Tensor, axis: Int, capacity: Int, _ memory: RunMemory? = nil
  ) throws(MartletError) {
    guard initial.dtype != .string, !initial.dtype.isNarrow else {
      throw MartletError(
        .invalidDType, "a state holds numbers that are computed in", expected: "a wider dtype",
        actual: "\(initial.dtype)")
    }
    guard initial.shape.indices.contains(axis), capacity >= initial.shape[axis] else {
      throw MartletError(
        .invalidArgument,
        "a state of shape \(Shape.text(initial.shape)) cannot grow along axis \(axis) to \(capacity)",
        expected: "an axis of the tensor and at least its extent",
        actual: "axis \(axis), capacity \(capacity)")
    }
    let length = initial.shape[axis]
    buffer = try StateBuffer(
      initial.dtype, initial.shape, axis: axis, capacity: capacity, used: length, memory)
    tensor = buffer.slices(length)
    generation = 0
    initial.copyElements(to: tensor)
  }

  /// A state of `count` slices more, and the place where the caller writes them before it hands the
  /// state on. In place where this one is the buffer's newest and there is room; else in a copy with
  /// room for half as much again, whose memory counts as that of the run that `memory` is of.
  ///
  /// Throws `invalidShape` where the size overflows, `invalidState` where it is used up, and
  /// `outOfMemory` and `limitExceeded`.
  package func extended(
    by count: Int, _ memory: RunMemory? = nil
  ) throws(MartletError) -> (state: State, added: Tensor) {
    let (total, overflow) = length.addingReportingOverflow(count)
    guard count >= 0, !overflow, total <= Int.max / 4 else {
      throw MartletError(.invalidShape, "a state of \(length) slices cannot grow by \(count)")
    }
    try checkCurrent()
    var state = self
    if buffer.claim(count, from: length) {
      state = State(buffer, length: total, generation: generation)
    } else {
      let target = try StateBuffer(
        tensor.dtype, tensor.shape, axis: axis, capacity: max(total + total / 2, capacity),
        used: total, memory)
      tensor.copyElements(to: target.slices(length))
      state = State(target, length: total, generation: 0)
    }
    return (state, state.tensor.sliced(axis: axis, start: length, count: count, step: 1))
  }

  /// A state of the same elements for the caller to write over before it hands the state on: this one,
  /// which is then used up, where `inPlace` says that nobody else reads it in this run and it is the
  /// buffer's newest; else a copy, whose memory counts as that of the run that `memory` is of.
  ///
  /// Throws `invalidState` where it is used up already, and `outOfMemory` and `limitExceeded`.
  package func overwritten(
    inPlace: Bool, _ memory: RunMemory? = nil
  ) throws(MartletError) -> State {
    try checkCurrent()
    if inPlace, buffer.claimAll(length, generation: generation) {
      return State(buffer, length: length, generation: generation + 1)
    }
    return try State(tensor, axis: axis, capacity: capacity, memory)
  }

  /// Throws `invalidState` where its elements were written over.
  package func checkCurrent() throws(MartletError) {
    guard buffer.currentGeneration == generation else {
      throw MartletError(
        .invalidState, "the state is used up: a run has written over it, and gave a new one",
        expected: "the state that the last run gave",
        actual: "\(tensor.dtype)\(Shape.text(tensor.shape)) of an earlier one")
    }
  }
}
