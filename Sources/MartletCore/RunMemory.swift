/// Where the runs of one context get memory from: results that live on from a `MemoryRecycler`,
/// scratch of a node, where a plan has laid it out, from one block that all nodes share.
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

  /// Contiguous and uninitialised, until the last tensor on it goes.
  package func fresh(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    // Strings are let go of one by one: no block of theirs is used again.
    if dtype == .string { return try Tensor(uninitialized: dtype, shape, allowance) }
    let bytes = try Shape.byteCount(shape, dtype)
    return Tensor(
      unchecked: try recycler.storage(byteCount: bytes, allowance: allowance), dtype: dtype,
      layout: TensorLayout(contiguous: shape), byteOffset: 0)
  }

  /// A sequence of these elements, whose list counts while it is there; what is in it counts by itself.
  package func sequence(_ elements: [Value], dtype: DType?) throws(MartletError) -> Value {
    let claim = try MemoryClaim.of(
      bytes: elements.count * MemoryLayout<Value>.stride, allowance)
    return .sequence(ValueSequence(elements, dtype: dtype, claim))
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
