import MartletCore

/// How far a long call has come.
package struct Progress: Sendable {
  /// What is being done: "read", "convert", "optimize", "prepare" or "run".
  package var stage: String
  /// Steps done and steps in all, of this stage.
  package var completed: Int
  package var total: Int

  package init(stage: String, completed: Int, total: Int) {
    self.stage = stage
    self.completed = completed
    self.total = total
  }
}

/// Called on the caller's thread as work advances; `false` stops it with `cancelled`.
package typealias ProgressCallback = (Progress) -> Bool

extension Progress {
  /// Reports to `callback`; throws `cancelled` when it says so.
  package static func report(
    _ stage: String, _ completed: Int, of total: Int, to callback: ProgressCallback?
  ) throws(MartletError) {
    guard let callback else { return }
    guard callback(Progress(stage: stage, completed: completed, total: total)) else {
      throw MartletError(
        .cancelled,
        "cancelled by the progress callback during '\(stage)' (\(completed) of \(total))")
    }
  }
}
