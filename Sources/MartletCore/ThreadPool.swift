import Glibc
import MartletPlatform
import Synchronization

/// The process's worker threads. One parallel section runs at a time; a section that finds the pool
/// taken, or that is nested in another, runs on its own thread, so nobody waits for anybody.
///
/// Every thread claims chunks from a share of its own, always the same part of the count, so that what
/// one section leaves in a core's caches is there for the next; then from the others' shares, so that
/// nobody waits for what a descheduled worker would have done. Between sections workers spin for a
/// bounded time, then sleep on a futex.
///
/// @unchecked Sendable: `job` is written only by the holder of `isTaken` while no worker is inside.
package final class ThreadPool: @unchecked Sendable {
  /// A caller's own parallel-for: runs `task(context, i)` for each i in 0..<count and returns
  /// when all are done.
  package typealias ExternalParallelFor =
    @convention(c) (
      _ user: UnsafeMutableRawPointer?, _ count: Int64,
      _ task: @convention(c) (UnsafeMutableRawPointer?, Int64) -> Void,
      _ context: UnsafeMutableRawPointer?
    ) -> Void

  package static let shared = ThreadPool()

  private struct Job {
    var body: UnsafeMutableRawPointer
    var count: Int
    /// In how many shares the count is dealt, evenly and in order.
    var shares: Int

    func start(_ share: Int) -> Int {
      let (size, larger) = count.quotientAndRemainder(dividingBy: shares)
      return share * size + min(share, larger)
    }
  }

  /// The next chunk of a share, alone in its cache line.
  private struct Share: ~Copyable {
    let next = Atomic<Int>(0)
    private let padding = (0, 0, 0, 0, 0, 0, 0)
  }

  private struct External: @unchecked Sendable {
    let function: ExternalParallelFor
    let user: UnsafeMutableRawPointer?
  }

  private let isTaken = Atomic<Bool>(false)
  /// Incremented to start a section; workers wait for a change. Its address is the futex word.
  private let epoch: UnsafeMutablePointer<UInt32>
  private static let maximumShares = 64
  private let shares: UnsafeMutablePointer<Share>
  /// How many more workers may join the section.
  private let tickets = Atomic<Int>(0)
  private let busyWorkers = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private var job: Job?
  private let requestedThreads = Atomic<Int>(0)
  private let spinNanoseconds = Atomic<Int>(100_000)
  private let configuration = Mutex<External?>(nil)
  /// Written only by the holder of `isTaken`.
  private let startedWorkers = Atomic<Int>(0)
  /// When the last section that was left to its caller, for being short, was to end.
  private let lastAlone = Atomic<Int64>(0)
  private let generation = Atomic<UInt32>(0)
  private let hasExternal = Atomic<Bool>(false)

  private init() {
    epoch = .allocate(capacity: 16)
    epoch.initialize(repeating: 0, count: 16)
    shares = .allocate(capacity: ThreadPool.maximumShares)
    for index in 0..<ThreadPool.maximumShares { (shares + index).initialize(to: Share()) }
    if let text = getenv("MARTLET_NUM_THREADS").map({ String(cString: $0) }), !text.isEmpty {
      if let count = Int(text), (1...ThreadPool.maximumThreads).contains(count) {
        requestedThreads.store(count, ordering: .relaxed)
      } else {
        mp_warn("MARTLET_NUM_THREADS=\(text) is ignored: expected 1...\(ThreadPool.maximumThreads)")
      }
    }
    if let text = getenv("MARTLET_SPIN_US").map({ String(cString: $0) }), !text.isEmpty {
      if let micros = Int(text), (0...1_000_000).contains(micros) {
        spinNanoseconds.store(micros * 1000, ordering: .relaxed)
      } else {
        mp_warn("MARTLET_SPIN_US=\(text) is ignored: expected 0...1000000")
      }
    }
  }

  package static let maximumThreads = 1024
  private static let budget = ProcessorBudget.count()

  /// Threads that a section uses at most, the caller included.
  package var threadCount: Int {
    let requested = requestedThreads.load(ordering: .relaxed)
    return requested > 0 ? requested : ThreadPool.budget
  }

  /// Sets the thread count for sections from now on; 0 goes back to the processor budget.
  package func setThreadCount(_ count: Int) throws(MartletError) {
    guard (0...ThreadPool.maximumThreads).contains(count) else {
      throw MartletError(
        .invalidArgument, "thread count \(count) is out of range",
        expected: "0...\(ThreadPool.maximumThreads)", actual: "\(count)")
    }
    requestedThreads.store(count, ordering: .relaxed)
  }

  /// How long a worker spins for the next section before it sleeps; 0 sleeps at once.
  package func setSpinMicroseconds(_ micros: Int) throws(MartletError) {
    guard (0...1_000_000).contains(micros) else {
      throw MartletError(
        .invalidArgument, "spin budget of \(micros) us is out of range", expected: "0...1000000",
        actual: "\(micros)")
    }
    spinNanoseconds.store(micros * 1000, ordering: .relaxed)
  }

  package var spinMicroseconds: Int { spinNanoseconds.load(ordering: .relaxed) / 1000 }

  /// Hands all sections to the caller's own scheduler; nil goes back to this pool.
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
      awakeWorkers < threads - 1, !hasExternal.load(ordering: .relaxed)
    else { return threads }
    let now = mp_now_ns()
    let pause = now - lastAlone.load(ordering: .relaxed)
    if pause < Int64(spinNanoseconds.load(ordering: .relaxed)) { return threads }
    lastAlone.store(now + Int64(nanoseconds), ordering: .relaxed)
    return 1
  }

  /// Workers that are running or about to, at the least.
  private var awakeWorkers: Int {
    startedWorkers.load(ordering: .relaxed) - sleepers.load(ordering: .sequentiallyConsistent)
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
    forgetThreadsLostToFork()
    guard
      isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for index in 0..<count { body(index) }
      return
    }
    startWorkers(threads - 1)
    withoutActuallyEscaping(body) { escapable in
      var boxed = escapable
      withUnsafeMutablePointer(to: &boxed) { pointer in
        runSection(
          Job(
            body: UnsafeMutableRawPointer(pointer), count: count,
            shares: min(threads, ThreadPool.maximumShares)), threads - 1)
      }
    }
    isTaken.store(false, ordering: .releasing)
  }

  private typealias Body = (Int) -> Void

  private func runSection(_ section: Job, _ helpers: Int) {
    job = section
    for share in 0..<section.shares {
      shares[share].next.store(section.start(share), ordering: .relaxed)
    }
    // Only `helpers` of the workers take part: each takes one ticket.
    // A worker that is late from the section before may take one at once: it must see the job.
    tickets.store(helpers, ordering: .sequentiallyConsistent)
    mp_word_increment(epoch)
    let missing = helpers - awakeWorkers
    if missing > 0 { mp_futex_wake(epoch, Int32(missing)) }
    drain(section, first: 0)
    // Take back the tickets nobody used, then wait for the workers that did use one.
    tickets.store(0, ordering: .sequentiallyConsistent)
    var spins = 0
    while busyWorkers.load(ordering: .sequentiallyConsistent) > 0 {
      mp_spin_hint()
      spins += 1
      // More threads than processors: let the worker that we wait for run.
      if spins % 4096 == 0 { sched_yield() }
    }
    job = nil
  }

  /// Runs what is left of the shares, from `first` on.
  private func drain(_ section: Job, first: Int) {
    mp_set_in_parallel(true)
    let body = section.body.assumingMemoryBound(to: Body.self)
    for step in 0..<section.shares {
      let share = (first + step) % section.shares
      let end = section.start(share + 1)
      while true {
        let index = shares[share].next.wrappingAdd(1, ordering: .relaxed).oldValue
        if index >= end { break }
        body.pointee(index)
      }
    }
    mp_set_in_parallel(false)
  }

  private func runExternally(_ external: External, _ count: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { escapable in
      var boxed = escapable
      withUnsafeMutablePointer(to: &boxed) { pointer in
        external.function(
          external.user, Int64(count),
          { context, index in
            let nested = mp_in_parallel()
            mp_set_in_parallel(true)
            context?.assumingMemoryBound(to: Body.self).pointee(Int(index))
            mp_set_in_parallel(nested)
          }, UnsafeMutableRawPointer(pointer))
      }
    }
  }

  // MARK: - Workers

  /// In a forked child the parent's workers do not exist, whatever they held at the time.
  private func forgetThreadsLostToFork() {
    let current = mp_fork_generation()
    let known = generation.load(ordering: .relaxed)
    guard current != known,
      generation.compareExchange(expected: known, desired: current, ordering: .relaxed).exchanged
    else { return }
    startedWorkers.store(0, ordering: .relaxed)
    busyWorkers.store(0, ordering: .relaxed)
    sleepers.store(0, ordering: .relaxed)
    isTaken.store(false, ordering: .sequentiallyConsistent)
  }

  private func startWorkers(_ wanted: Int) {
    var started = startedWorkers.load(ordering: .relaxed)
    while started < wanted {
      guard startWorker() else { return }
      started += 1
      startedWorkers.store(started, ordering: .relaxed)
    }
  }

  private func startWorker() -> Bool {
    var attributes = pthread_attr_t()
    guard pthread_attr_init(&attributes) == 0 else { return false }
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 2 << 20)
    // Signals belong to the host's threads.
    var all = sigset_t()
    var previous = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &previous)
    defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
    var thread = pthread_t()
    return pthread_create(
      &thread, &attributes,
      { _ in
        ThreadPool.shared.work()
        return nil
      }, nil) == 0
  }

  private func work() {
    var seen: UInt32 = 0
    while true {
      seen = awaitEpoch(after: seen)
      // busyWorkers goes up before the ticket is taken: the caller clears the tickets first and
      // then waits for busyWorkers to reach zero, so no worker can slip in afterwards.
      busyWorkers.add(1, ordering: .sequentiallyConsistent)
      if let ticket = takeTicket(), let section = job { drain(section, first: ticket) }
      busyWorkers.subtract(1, ordering: .releasing)
    }
  }

  /// A number from 1 to that of the helpers, or nil where no more are wanted.
  private func takeTicket() -> Int? {
    var available = tickets.load(ordering: .sequentiallyConsistent)
    while available > 0 {
      let (exchanged, original) = tickets.compareExchange(
        expected: available, desired: available - 1, ordering: .sequentiallyConsistent)
      if exchanged { return available }
      available = original
    }
    return nil
  }

  private func awaitEpoch(after seen: UInt32) -> UInt32 {
    let budget = Int64(spinNanoseconds.load(ordering: .relaxed))
    if budget > 0 {
      let deadline = mp_now_ns() + budget
      repeat {
        for _ in 0..<64 {
          let now = mp_word_load(epoch)
          if now != seen { return now }
          mp_spin_hint()
        }
      } while mp_now_ns() < deadline
    }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    defer { sleepers.subtract(1, ordering: .relaxed) }
    while true {
      let now = mp_word_load(epoch)
      if now != seen { return now }
      mp_futex_wait(epoch, seen, -1)
    }
  }
}
