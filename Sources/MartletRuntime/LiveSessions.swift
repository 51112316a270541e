import MartletCore
import MartletGraph

/// What gives back the memory that one session keeps for its next run.
package final class SessionTrimmer: Sendable {
  private let executor: Executor

  init(_ executor: Executor) { self.executor = executor }

  /// While a run is under way it does nothing.
  fileprivate func trim() { executor.trimMemory() }
}

/// All sessions of the process that there are, so that the memory which they keep can be given back
/// without asking whoever has them.
package enum LiveSessions {
  private struct Entry {
    weak var trimmer: SessionTrimmer?
    let model: ObjectIdentifier
  }

  private static let entries = Lock<[Entry]>([])

  static func add(_ trimmer: SessionTrimmer, of model: Model) {
    entries.withLock { entries in
      if entries.count == entries.capacity { entries.removeAll { $0.trimmer == nil } }
      entries.append(Entry(trimmer: trimmer, model: ObjectIdentifier(model)))
    }
  }

  /// Gives back what the sessions of `model`, or all, keep for runs to come; those that run keep theirs.
  package static func trim(of model: Model? = nil) {
    let wanted = model.map { ObjectIdentifier($0) }
    let trimmers = entries.withLock { entries in
      entries.compactMap { wanted == nil || $0.model == wanted ? $0.trimmer : nil }
    }
    for trimmer in trimmers { trimmer.trim() }
  }
}
