import MartletBackends
import MartletCore

/// What an operator may use during a run: memory, threads, the math mode, and a place to say what it did.
///
/// Belongs to one thread at a time.
package final class RunContext {
  package let mode: MathMode
  package let pool: ThreadPool
  package let memory: MemoryRecycler
  /// Whether convolutions may run by Winograd's algorithm where it is faster.
  package let permitsWinograd: Bool
  /// Where the caller wants the current node's outputs, if it said so.
  package var destinations: [Tensor?] = []
  /// What the current node's matrix work ran as; the executor collects and clears it.
  package var executions: [Execution] = []

  package init(
    mode: MathMode, pool: ThreadPool = .shared, memory: MemoryRecycler = MemoryRecycler(),
    permitsWinograd: Bool? = nil
  ) {
    self.mode = mode
    self.pool = pool
    self.memory = memory
    self.permitsWinograd = permitsWinograd ?? Backends.permitsWinograd
  }

  /// Memory for output `index` of the current node, contiguous and uninitialised: the caller's own
  /// buffer where it fits exactly.
  package func output(_ index: Int, _ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    if index < destinations.count, let destination = destinations[index],
      destination.dtype == dtype, destination.shape == shape, destination.isContiguous
    {
      return destination
    }
    return try scratch(dtype, shape)
  }

  /// Memory for the duration of the current node, contiguous and uninitialised.
  package func scratch(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    let bytes = try Shape.byteCount(shape, dtype)
    return Tensor(
      unchecked: try memory.storage(byteCount: bytes), dtype: dtype, shape: shape,
      strides: Shape.contiguousStrides(shape), byteOffset: 0)
  }

  /// Records what a matrix product or convolution ran as.
  package func note(_ execution: Execution) { executions.append(execution) }
}
