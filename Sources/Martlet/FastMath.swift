import MartletCore

/// What float32 matrix work may be computed in.
public typealias MathMode = MartletCore.MathMode

/// Sets the process's float32 fast-math mode: the one line that makes a float32 model bf16-fast.
///
/// A mode permits, it never demands: it never fails for want of hardware.
public func setFloat32FastMathMode(_ mode: MathMode) { MathMode.setProcess(mode) }

/// The mode in force on the calling thread.
public func float32FastMathMode() -> MathMode { MathMode.effective() }

/// Runs `body` with `mode` in force on the calling thread.
public func withFastMath<Result>(
  _ mode: MathMode, _ body: () throws -> Result
) throws -> Result {
  try MathMode.pushScope(mode)
  defer { try? MathMode.popScope() }
  return try body()
}

/// Sets how many threads a computation uses at most; 0 goes back to the processors that affinity
/// and cgroup quota leave. Throws `invalidArgument` outside 0...1024.
public func setThreadCount(_ count: Int) throws(MartletError) {
  try ThreadPool.shared.setThreadCount(count)
}

/// Threads that a computation uses at most.
public func threadCount() -> Int { ThreadPool.shared.threadCount }
