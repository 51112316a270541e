import Glibc
import MartletPlatform
import Synchronization

/// Threads that share sections of work with the thread that calls: the process's (`shared`), or some of
/// a caller's own, with a number and a set of processors, or a scheduler of the caller's.
///
/// One parallel section of a pool runs at a time; a section that finds its pool taken, or that is
/// nested in another (of whatever pool), runs on its own thread, so nobody waits for anybody. What is
/// computed does not depend on the pool. A pool's threads end soon after its last reference goes, and
/// each run holds one to its own. In a forked child a pool starts its threads anew.
///
/// @unchecked Sendable: all state is atomic or behind the lock.
package final class ThreadPool: @unchecked Sendable {
  /// A caller's own parallel-for: runs `task(context, i)` for each i in 0..<count and returns
  /// when all are done.
  package typealias ExternalParallelFor =
    @convention(c) (
      _ user: UnsafeMutableRawPointer?, _ count: Int64,
      _ task: @convention(c) (UnsafeMutableRawPointer?, Int64) -> Void,
      _ context: UnsafeMutableRawPointer?
    ) -> Void

  /// That of the process, for whatever is given no other.
  package static let shared = ThreadPool(size: sizeOfEnvironment ?? 0, processors: [])

  private struct External: @unchecked Sendable {
    let function: ExternalParallelFor
    let user: UnsafeMutableRawPointer?
  }

  let crew: WorkerCrew
  private let requestedThreads: Atomic<Int>
  private let configuration = Lock<External?>(nil)
  private let hasExternal = Atomic<Bool>(false)
  /// When the last section that was left to its caller, for being short, was to end.
  private let lastAlone = Atomic<Int64>(0)

  private init(size: Int, processors: [Int32]) {
    crew = WorkerCrew(processors: processors)
    requestedThreads = Atomic(size)
    if let micros = ThreadPool.spinOfEnvironment {
      crew.spinNanoseconds.store(micros * 1000, ordering: .relaxed)
    }
  }

  /// A pool of `threads` threads, that of the caller included; 0: one for each of its processors.
  ///
  /// `processors`: where its workers may run (the thread that calls stays where it is); empty: where
  /// the thread that starts them may. Throws `invalidArgument` for a number out of range and for a
  /// processor that the calling thread may not use.
  package convenience init(threads: Int, processors: [Int] = []) throws(MartletError) {
    try ThreadPool.check(threads)
    var numbers: [Int32] = []
    for processor in processors {
      guard let number = Int32(exactly: processor), mp_may_use_processor(number) else {
        throw MartletError(
          .invalidArgument, "processor \(processor) is not one that this thread may use",
          input: "processors", expected: "processors in the thread's affinity mask",
          actual: "\(processor)")
      }
      if !numbers.contains(number) { numbers.append(number) }
    }
    let size = threads == 0 && !numbers.isEmpty ? numbers.count : threads
    self.init(size: min(size, ThreadPool.maximumThreads), processors: numbers)
  }

  deinit { crew.close() }

  // MARK: - Settings

  package static let maximumThreads = 1024
  /// Processors that a pool may name.
  package static let maximumProcessors = 1 << 16
  private static let budget = ProcessorBudget.count()
  private static let sizeOfEnvironment = environment("MARTLET_NUM_THREADS", 1...maximumThreads)
  private static let spinOfEnvironment = environment("MARTLET_SPIN_US", 0...1_000_000)

  /// The number in a variable; what is none, or out of range, warns and is ignored.
  private static func environment(_ name: String, _ range: ClosedRange<Int>) -> Int? {
    guard let text = getenv(name).map({ String(cString: $0) }), !text.isEmpty else { return nil }
    if let number = Int(text), range.contains(number) { return number }
    mp_warn("\(name)=\(text) is ignored: expected \(range.lowerBound)...\(range.upperBound)")
    return nil
  }

  /// Threads that a section uses at most, the caller included.
  package var threadCount: Int {
    let requested = requestedThreads.load(ordering: .relaxed)
    return requested > 0 ? requested : ThreadPool.budget
  }

  /// Sets the thread count for sections from now on; 0 goes back to the processor budget.
  package func setThreadCount(_ count: Int) throws(MartletError) {
    try ThreadPool.check(count)
    requestedThreads.store(count, ordering: .relaxed)
  }

  private static func check(_ count: Int) throws(MartletError) {
    guard (0...maximumThreads).contains(count) else {
      throw MartletError(
        .invalidArgument, "thread count \(count) is out of range", input: "threads",
        expected: "0...\(maximumThreads)", actual: "\(count)")
    }
  }

  /// How long a worker spins for the next section before it sleeps; 0 sleeps at once.
  package func setSpinMicroseconds(_ micros: Int) throws(MartletError) {
    guard (0...1_000_000).contains(micros) else {
      throw MartletError(
        .invalidArgument, "spin budget of \(micros) us is out of range", expected: "0...1000000",
        actual: "\(micros)")
    }
    crew.spinNanoseconds.store(micros * 1000, ordering: .relaxed)
  }

  package var spinMicroseconds: Int { crew.spinNanoseconds.load(ordering: .relaxed) / 1000 }

  /// Hands all sections to the caller's own scheduler; nil goes back to this pool's threads.
  package func setExternal(
    _ function: ExternalParallelFor?, user: UnsafeMutableRawPointer?
  ) {
    let external = function.map { External(function: $0, user: user) }
    configuration.withLock { $0 = external }
    hasExternal.store(external != nil, ordering: .releasing)
  }

  // MARK: - Running

  /// Time on one thread from which a section is worth waking workers for (isolated products of 128^3,
  /// 50 us, took 1.2 times as long on two threads as on one; 192^3 took 0.75 times as long).
  private static let worthWakingNanoseconds = 140_000

  /// How many threads should share a section that takes one of them about `nanoseconds`: one, where
  /// that is too short to wake workers for, unless it is one of a run of sections that would keep
  /// them awake.
  package func threadCount(forNanoseconds nanoseconds: Int) -> Int {
    guard !mp_in_parallel() else { return 1 }
    let threads = threadCount
    guard threads > 1, nanoseconds < ThreadPool.worthWakingNanoseconds,
      crew.awakeWorkers < min(threads, crew.usefulThreads) - 1,
      !hasExternal.load(ordering: .relaxed)
    else { return threads }
    let now = mp_now_ns()
    let pause = now - lastAlone.load(ordering: .relaxed)
    if pause < Int64(crew.spinNanoseconds.load(ordering: .relaxed)) { return threads }
    lastAlone.store(now + Int64(nanoseconds), ordering: .relaxed)
    return 1
  }

  /// Runs `body(i)` for each i in 0..<count, on up to `threadCount` threads, and returns when all
  /// are done. What is computed must not depend on who runs which chunk. `body` must not throw.
  package func parallelFor(_ count: Int, _ body: (Int) -> Void) {
    let threads = min(threadCount, count)
    guard threads > 1, !mp_in_parallel() else {
      for index in 0..<max(count, 0) { body(index) }
      return
    }
    if hasExternal.load(ordering: .acquiring), let external = configuration.withLock({ $0 }) {
      runExternally(external, count, body)
      return
    }
    if crew.run(count, threads: threads, body) { return }
    for index in 0..<count { body(index) }
  }

  /// What a caller's scheduler is given to hand to each task.
  private struct ExternalSection {
    let body: WorkerCrew.Body
    let flushesDenormals: Bool

    func run(_ index: Int) {
      let nested = mp_in_parallel()
      mp_set_in_parallel(true)
      FloatingPointEnvironment.own {
        FloatingPointEnvironment.flushing(flushesDenormals) { body(index) }
      }
      mp_set_in_parallel(nested)
    }
  }

  private func runExternally(_ external: External, _ count: Int, _ body: WorkerCrew.Body) {
    withoutActuallyEscaping(body) { escapable in
      var section = ExternalSection(body: escapable, flushesDenormals: mp_environment_flushes())
      withUnsafeMutablePointer(to: &section) { pointer in
        external.function(
          external.user, Int64(count),
          { context, index in
            context?.assumingMemoryBound(to: ExternalSection.self).pointee.run(Int(index))
          }, UnsafeMutableRawPointer(pointer))
      }
    }
  }
}
