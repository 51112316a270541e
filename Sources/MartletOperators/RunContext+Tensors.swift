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

  /// Throws where a list of `count` integers cannot be had: `limitExceeded` where the run may not hold
  /// so much, else `outOfMemory`. A view may claim more elements than there is memory, and an array
  /// that cannot grow would end the process.
  func checkRoom(_ count: Int, _ operatorName: String) throws(MartletError) {
    if count < 1 << 14 { return }
    // An array that grows holds twice its elements, and for a moment the elements themselves.
    let (bytes, overflow) = count.multipliedReportingOverflow(by: 32)
    if !overflow, let allowance = memory.allowance {
      try allowance.take(bytes: bytes)
      allowance.giveBack(bytes: bytes)
    }
    if count < 1 << 20 { return }
    guard !overflow, (try? Storage(byteCount: bytes)) != nil else {
      throw MartletError(
        .outOfMemory, "\(operatorName): no memory for \(count) indices",
        operatorName: operatorName, actual: "\(count) indices")
    }
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
