import MartletBackends

/// What one node's matrix work ran as in the last run.
package struct PrecisionRow: Sendable, Equatable {
  /// The node's place in the order of execution; its name need not be its alone.
  package var index: Int
  package var node: String
  package var operatorName: String
  /// The precision of the products: `fp32`, `bf16`, …; `unchanged` for work that no mode touches.
  package var precision: String
  package var backend: String
  package var kernel: String
  /// Why not the mode's own precision; empty when it is.
  package var reason: String
}

/// The time spent in one node over the runs since profiling began.
package struct ProfileRow: Sendable, Equatable {
  package var node: String
  package var operatorName: String
  package var nanoseconds: Int64
  package var runs: Int
}

/// Memory that a run context holds, in bytes.
package struct MemoryStatistics: Sendable, Equatable {
  /// In tensors that are alive (results still held by the caller included).
  package var live: Int
  /// Kept for the next run.
  package var kept: Int
  /// The most ever alive at once.
  package var peak: Int
  /// The model's constants, shared by all its contexts.
  package var constants: Int
}
