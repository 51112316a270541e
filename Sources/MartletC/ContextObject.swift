import CMartlet
import MartletCore
import MartletGraph
import MartletRuntime

/// What a `martlet_context` handle stands for. One thread at a time, as the session checks.
final class ContextObject: HandleObject {
  static let kind = HandleKind.context

  let model: ModelObject
  let session: RunSession
  var progress: CallerProgress?
  /// The mode of the last successful run; nil before it.
  private var lastMode: MathMode?
  private var cachedReports: RunReports?

  init(_ model: ModelObject) {
    self.model = model
    session = model.model.makeRun()
  }

  func run(_ run: ModelRun) throws(MartletError) {
    progress?.restart()
    try run.perform(session, progress: progress?.callback)
    lastMode = MathMode.effective(argument: session.options.mode)
    cachedReports = nil
  }

  /// A run on values of any kind, in the model's order.
  func run(_ inputs: [Value]) throws(MartletError) -> [Value] {
    progress?.restart()
    let results = try session.run(values: inputs, progress: progress?.callback)
    lastMode = MathMode.effective(argument: session.options.mode)
    cachedReports = nil
    return results
  }

  /// What the last successful run did, made when first asked for; nil before one.
  var reports: RunReports? {
    guard let lastMode else { return nil }
    if let cachedReports { return cachedReports }
    let made = RunReports(session, mode: lastMode)
    cachedReports = made
    return made
  }
}
