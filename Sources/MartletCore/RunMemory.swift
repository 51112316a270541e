/// Where the runs of one context get memory from: results that live on from a `MemoryRecycler`,
/// scratch of a node, where a plan has laid it out, from one block that all nodes share.
///
/// All that it hands out lives at least until `endNode`, whoever lets go of it before: with the node's
/// inputs, which their frame owns, that is all that the node's pointers point into. So no operator and
/// no kernel's driver has to keep a tensor alive.
///
/// Belongs to one thread at a time.
package final class RunMemory {
  package let recycler = MemoryRecycler()
  /// What the run may still take; nil: as much as there is.
  package var allowance: RunAllowance?

  /// Scratch laid out for the nodes of a plan, and what a node took of it so far.
  package struct PlannedScratch {
    /// The tensors of all nodes, node after node.
    package var tensors: [Tensor] = []
    /// The current node's part of `tensors` that is not yet taken.
    package var range = 0..<0

    package init() {}
  }

  package var planned = PlannedScratch()
  /// What is asked for as scratch, written down where somebody wants to know.
  package var recorded: [(dtype: DType, layout: TensorLayout)]?

  package init() {}

  /// What the current node was given.
  private var held: [Storage] = []

  /// What `body` gives with memory of its own, which lives until it has ended.
  package static func temporary<Result>(
    _ body: (RunMemory) throws(MartletError) -> Result
  ) throws(MartletError) -> Result {
    let memory = RunMemory()
    defer { withExtendedLifetime(memory) {} }
    return try body(memory)
  }

  /// Lets go of what the current node was given.
  @inline(__always)
  package func endNode() {
    if !held.isEmpty { letGo() }
  }

  private func letGo() { while !held.isEmpty { held.removeLast() } }

  /// Contiguous and uninitialised, until the last tensor on it goes, and the node has run.
  package func fresh(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    // Strings are let go of one by one: no block of theirs is used again.
    let tensor =
      try dtype == .string
      ? Tensor(uninitialized: dtype, shape, allowance)
      : Tensor(
        unchecked: recycler.storage(
          byteCount: Shape.byteCount(shape, dtype), allowance: allowance),
        dtype: dtype, layout: TensorLayout(contiguous: shape), byteOffset: 0)
    held.append(tensor.storage)
    return tensor
  }

  /// A sequence of these elements, whose list counts while it is there; what is in it counts by itself.
  package func sequence(_ elements: [Value], dtype: DType?) throws(MartletError) -> Value {
    let claim = try MemoryClaim.of(
      bytes: elements.count * MemoryLayout<Value>.stride, allowance)
    return .sequence(try ValueSequence(elements, dtype: dtype, claim))
  }

  /// The tensor, or a copy where the next run, or node, may write over it: for what goes into values
  /// that hold others.
  package func lasting(_ tensor: Tensor) throws(MartletError) -> Tensor {
    tensor.storage.isArena ? try copy(tensor) : tensor
  }

  /// The same elements in `fresh` memory.
  package func copy(
    _ tensor: Tensor, on pool: ThreadPool? = nil
  ) throws(MartletError) -> Tensor {
    let copy = try fresh(tensor.dtype, tensor.shape)
    tensor.copyElements(to: copy, on: pool)
    return copy
  }

  /// Contiguous and uninitialised, for the duration of the current node.
  package func scratch(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    if let next = planned.range.first, next < planned.tensors.count {
      let tensor = planned.tensors[next]
      planned.range = next + 1..<planned.range.upperBound
      if tensor.dtype == dtype && tensor.shape == shape { return tensor }
    }
    let tensor = try fresh(dtype, shape)
    if dtype != .string { recorded?.append((dtype, tensor.layout)) }
    return tensor
  }
}
