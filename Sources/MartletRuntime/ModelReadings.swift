import MartletCore
import MartletGraph
import MartletImport

/// A model's plans for runs that its own does not serve: with initialisers replaced, or with inputs of
/// shapes that their types do not let in. Each is made when it is first asked for; the most recent stay.
final class ModelReadings: Sendable {
  /// How many stay; a plan has weights in prepared form of its own.
  private static let limit = 4

  private let source: ModelSource
  private let options: Model.Options
  private let made = Lock<[(reading: ModelReading, plan: Plan)]>([])

  init(_ source: ModelSource, _ options: Model.Options) {
    (self.source, self.options) = (source, options)
  }

  /// Throws what loading the model throws.
  func plan(_ reading: ModelReading) throws(MartletError) -> Plan {
    let known = made.withLock { made in made.first { $0.reading == reading }?.plan }
    if let known { return known }
    // Not under the lock: two threads may make it twice, but none waits for what it does not need.
    let graph = try ModelFormat.of(source).read(source, reading, nil).graph
    let plan = try Model.prepared(graph, options, progress: nil).plan
    made.withLock { made in
      if made.count >= ModelReadings.limit { made.removeFirst() }
      made.append((reading, plan))
    }
    return plan
  }
}
