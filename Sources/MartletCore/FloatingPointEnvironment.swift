import MartletPlatform

/// What rounds and traps the calling thread's arithmetic: its processor's control register.
///
/// The library computes in its own: round to nearest even, denormals neither flushed nor taken for
/// zero, no exception trapped. Otherwise bits would depend on which thread computed them, and on who
/// called. Every entry from outside (`boundary` of the C functions, the Swift API, a task that a
/// caller's scheduler runs) is in `own`; workers are from their start. A caller has its own back
/// afterwards, exception flags included: what the library raises is not seen.
///
/// A run may ask for denormals to be flushed (`RunOptions.flushesDenormals`): `flushing` says so of the
/// calling thread, and the sections that it has threads share take that with them.
package enum FloatingPointEnvironment {
  /// What `body` gives in the library's environment.
  @inlinable
  package static func own<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let callers = mp_environment_enter()
    defer { mp_environment_leave(callers) }
    return try body()
  }

  /// What `body` gives with denormals flushed or not, inside `own`.
  package static func flushing<Result, Failure: Error>(
    _ flushes: Bool, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let before = mp_environment_flushes()
    mp_environment_flush(flushes)
    defer { mp_environment_flush(before) }
    return try body()
  }
}
