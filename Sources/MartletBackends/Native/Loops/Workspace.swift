import MartletCore

/// What the native drivers work with: threads and scratch memory.
package struct Workspace {
  package let pool: ThreadPool
  package let memory: RunMemory

  package init(pool: ThreadPool, memory: RunMemory) {
    self.pool = pool
    self.memory = memory
  }

  /// A contiguous tensor with uninitialised elements.
  package func scratch(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    try memory.scratch(dtype, shape)
  }

  /// A scalar of this dtype.
  package func scalar(_ value: Double, _ dtype: DType) throws(MartletError) -> Tensor {
    let tensor = try scratch(dtype, [])
    SmallTensors.write(value, to: tensor)
    return tensor
  }

  /// `tensor` itself if it is contiguous, else a contiguous copy.
  package func contiguous(_ tensor: Tensor) throws(MartletError) -> Tensor {
    if tensor.isContiguous { return tensor }
    let copy = try scratch(tensor.dtype, tensor.shape)
    Copying.copy(tensor, into: copy, self)
    return copy
  }

  /// `tensor` itself if it has this dtype, else a converted contiguous copy.
  package func converted(_ tensor: Tensor, to dtype: DType) throws(MartletError) -> Tensor {
    if tensor.dtype == dtype { return tensor }
    let copy = try scratch(dtype, tensor.shape)
    try Casting.cast(tensor, into: copy, self)
    return copy
  }
}
