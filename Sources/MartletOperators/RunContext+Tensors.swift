import MartletBackends
import MartletCore

/// What operators do with whole tensors before their own work.
extension RunContext {
  package var workspace: Workspace { Workspace(pool: pool, memory: memory) }

  /// A scalar of this dtype.
  package func scalar(_ value: Double, _ dtype: DType) throws(MartletError) -> Tensor {
    try workspace.scalar(value, dtype)
  }

  /// `tensor` itself if it is contiguous, else a contiguous copy.
  package func contiguous(_ tensor: Tensor) throws(MartletError) -> Tensor {
    try workspace.contiguous(tensor)
  }

  /// `tensor` itself if it has this dtype, else a converted copy.
  package func converted(_ tensor: Tensor, to dtype: DType) throws(MartletError) -> Tensor {
    try workspace.converted(tensor, to: dtype)
  }

  /// `result` as output 0 in `dtype`: itself, or converted into the output's memory.
  package func finish(
    _ result: Tensor, as dtype: DType, output index: Int = 0,
    rounding: NarrowRounding = NarrowRounding()
  ) throws(MartletError) -> Tensor {
    if result.dtype == dtype { return result }
    let converted = try output(index, dtype, result.shape)
    try Casting.cast(result, into: converted, workspace, rounding: rounding)
    return converted
  }
}
