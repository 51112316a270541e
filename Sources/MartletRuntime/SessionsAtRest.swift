import MartletCore

/// Sessions of one model that no run uses now, with the memory that they keep for the next: bounded in
/// number and in bytes.
package final class SessionsAtRest: Sendable {
  private struct State {
    var sessions: [(session: RunSession, bytes: Int)] = []
    var bytes = 0
  }

  private let model: Model
  private let limit: Int
  private let byteLimit: Int
  private let state = Lock(State())

  /// At most `limit` sessions rest, and all but one of them keep at most `byteLimit` bytes together:
  /// one may keep what it likes, so that runs one after another are in steady state.
  package init(
    of model: Model, limit: Int = max(ProcessorBudget.count(), 4), byteLimit: Int = 256 << 20
  ) {
    self.model = model
    self.limit = limit
    self.byteLimit = byteLimit
  }

  /// Runs `body` with a session that nobody else has, done as the model's options say.
  package func withSession<Result>(
    _ body: (RunSession) throws(MartletError) -> Result
  ) throws(MartletError) -> Result {
    let resting = take()
    if resting == nil { try model.checkRoomForRun() }
    let session = resting ?? model.makeRun()
    defer { put(session) }
    return try body(session)
  }

  /// How many rest, and the bytes that they keep.
  package var statistics: (count: Int, bytes: Int) {
    state.withLock { ($0.sessions.count, $0.bytes) }
  }

  /// Lets go of all that rest.
  package func trim() {
    let dropped = state.withLock { state in
      defer { state = State() }
      return state.sessions
    }
    _ = dropped
  }

  private func take() -> RunSession? {
    state.withLock { state in
      guard let last = state.sessions.popLast() else { return nil }
      state.bytes -= last.bytes
      return last.session
    }
  }

  private func put(_ session: RunSession) {
    session.options = model.options.run
    var bytes = session.memoryStatistics.kept
    // What others do in between moves the bounds by a session at most.
    let resting = statistics
    if resting.count > 0, resting.bytes + bytes > byteLimit {
      session.trimMemory()
      bytes = session.memoryStatistics.kept
    }
    state.withLock { state in
      guard state.sessions.count < limit else { return }
      state.sessions.append((session, bytes))
      state.bytes += bytes
    }
  }
}
