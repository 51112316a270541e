import Glibc
import MartletPlatform

/// How runs are done: one value from the caller to the kernels.
///
/// A new option is a field here, a line where callers set it by name (`RunOptions+Names.swift`), and a
/// look at it where it matters, through `RunContext.options`.
package struct RunOptions: Sendable {
  /// The fast-math mode; nil: that of the thread, process or environment at the time of each run.
  package var mode: MathMode?
  /// Who computes.
  package var pool = ThreadPool.shared
  /// Whether convolutions may run by Winograd's algorithm where it is faster.
  package var permitsWinograd = RunOptions.environmentPermitsWinograd
  /// The most iterations of all loops in a run together; 0: no limit.
  package var maximumLoopIterations = 0
  /// The most bytes of results and scratch that a run may hold at once; 0: no limit.
  package var maximumMemoryBytes = 0
  /// How long a run may take: the node that runs then is its last; 0: no limit.
  package var maximumMilliseconds = 0
  /// Whether denormals, among operands and results, are taken for zero on all threads of a run.
  package var flushesDenormals = false

  package init() {}

  /// False where the environment has MARTLET_WINOGRAD=0.
  private static let environmentPermitsWinograd: Bool = {
    guard let value = getenv("MARTLET_WINOGRAD").map({ String(cString: $0) }), !value.isEmpty
    else { return true }
    if value == "0" || value == "1" { return value == "1" }
    mp_warn("MARTLET_WINOGRAD=\(value) is ignored: expected 0 or 1")
    return true
  }()
}
