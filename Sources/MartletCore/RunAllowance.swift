import MartletPlatform
import Synchronization

/// What one run may use, where its options set limits: all that it runs, regions included, takes from it.
package final class RunAllowance: Sendable {
  private let maximumIterations: Int
  private let maximumBytes: Int
  private let maximumMilliseconds: Int
  /// When the run's time is over; never, where it has no limit.
  private let deadline: Int64
  private let iterations = Atomic<Int>(0)
  private let bytes = Atomic<Int>(0)

  /// nil where there are no limits.
  package init?(_ options: RunOptions) {
    guard
      options.maximumLoopIterations > 0 || options.maximumMemoryBytes > 0
        || options.maximumMilliseconds > 0
    else { return nil }
    maximumIterations = options.maximumLoopIterations
    maximumBytes = options.maximumMemoryBytes
    maximumMilliseconds = options.maximumMilliseconds
    deadline = RunAllowance.time(in: options.maximumMilliseconds)
  }

  /// The time in so many milliseconds, at the longest that there is; 0: that.
  private static func time(in milliseconds: Int) -> Int64 {
    guard milliseconds > 0 else { return .max }
    let (nanoseconds, isLong) = Int64(milliseconds).multipliedReportingOverflow(by: 1_000_000)
    let (time, isLater) = mp_now_ns().addingReportingOverflow(nanoseconds)
    return isLong || isLater ? .max : time
  }

  /// Whether the run's time is limited, and so to be looked at.
  package var isTimed: Bool { maximumMilliseconds > 0 }

  /// Throws `limitExceeded` where the run's time is over.
  package func checkTime() throws(MartletError) {
    guard isTimed, mp_now_ns() >= deadline else { return }
    throw MartletError(
      .limitExceeded, "the run has taken max_milliseconds, \(maximumMilliseconds), and is not done",
      input: "max_milliseconds", expected: "at most \(maximumMilliseconds) ms")
  }

  /// One more iteration of a loop; throws `limitExceeded` where the run has had all that it may, or all
  /// its time.
  package func takeIteration() throws(MartletError) {
    try checkTime()
    let taken = iterations.wrappingAdd(1, ordering: .relaxed).newValue
    guard maximumIterations > 0, taken > maximumIterations else { return }
    throw MartletError(
      .limitExceeded,
      "the run's loops have gone through max_loop_iterations, \(maximumIterations), and go on",
      input: "max_loop_iterations", expected: "at most \(maximumIterations) iterations",
      actual: "iteration \(taken)")
  }

  /// Memory for results or scratch, until it is given back; throws `limitExceeded` where the run would
  /// then hold more than it may.
  package func take(bytes count: Int) throws(MartletError) {
    let held = bytes.wrappingAdd(count, ordering: .relaxed).newValue
    guard maximumBytes > 0, held > maximumBytes else { return }
    giveBack(bytes: count)
    throw MartletError(
      .limitExceeded,
      "the run's memory would pass max_memory_bytes, \(maximumBytes): it holds \(held - count) bytes and asks for \(count)",
      input: "max_memory_bytes", expected: "at most \(maximumBytes) bytes",
      actual: "\(held) bytes")
  }

  package func giveBack(bytes count: Int) {
    bytes.wrappingSubtract(count, ordering: .relaxed)
  }
}

/// Bytes that a run holds, taken from its allowance until the last who shares them is gone.
package final class MemoryClaim: Sendable {
  private let bytes: Int
  private let allowance: RunAllowance

  private init(_ bytes: Int, _ allowance: RunAllowance) {
    self.bytes = bytes
    self.allowance = allowance
  }

  /// Of a run without limits, none. Throws `limitExceeded`.
  package static func of(
    bytes: Int, _ allowance: RunAllowance?
  ) throws(MartletError) -> MemoryClaim? {
    guard let allowance else { return nil }
    try allowance.take(bytes: bytes)
    return MemoryClaim(bytes, allowance)
  }

  deinit { allowance.giveBack(bytes: bytes) }
}
