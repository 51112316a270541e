import Glibc
import MartletPlatform
import Synchronization

/// The worker threads of a pool, and the section of work that they share with the thread that calls.
///
/// Every thread claims chunks from a share of its own, always the same part of the count, so that what
/// one section leaves in a core's caches is there for the next; then from the others' shares, so that
/// nobody waits for what a descheduled worker would have done. Between sections workers spin for a
/// bounded time, then sleep on a futex. They start with the first section that wants them and end soon
/// after `close`; they own the crew, so that they may be the last to let it go.
///
/// **Forks.** None of the workers is there in a child. Whoever is first to have the crew there finds
/// by the generation that they are lost, and starts anew.
///
/// @unchecked Sendable: `job` and `generation` are written only by who has the turn, while no worker is
/// inside.
final class WorkerCrew: @unchecked Sendable {
  /// What a section runs, `body(i)` for each i in 0..<count.
  typealias Body = (Int) -> Void

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

  private let turn = Turn()
  /// Incremented to start a section; workers wait for a change. Its address is the futex word.
  private let epoch: UnsafeMutablePointer<UInt32>
  private static let maximumShares = 64
  private let shares: UnsafeMutablePointer<Share>
  /// How many more workers may join the section.
  private let tickets = Atomic<Int>(0)
  private let busyWorkers = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private var job: Job?
  /// Written only by who has the turn.
  private let startedWorkers = Atomic<Int>(0)
  private var generation = mp_fork_generation()
  private let isClosing = Atomic<Bool>(false)
  /// Where workers may run; empty: where the thread that starts them may.
  private let processors: [Int32]
  /// How long a worker spins for the next section before it sleeps.
  let spinNanoseconds = Atomic<Int>(100_000)

  init(processors: [Int32]) {
    self.processors = processors
    epoch = .allocate(capacity: 16)
    epoch.initialize(repeating: 0, count: 16)
    shares = .allocate(capacity: WorkerCrew.maximumShares)
    for index in 0..<WorkerCrew.maximumShares { (shares + index).initialize(to: Share()) }
  }

  deinit {
    epoch.deallocate()
    shares.deinitialize(count: WorkerCrew.maximumShares).deallocate()
  }

  /// Workers that are running or about to, at the least.
  var awakeWorkers: Int {
    startedWorkers.load(ordering: .relaxed) - sleepers.load(ordering: .sequentiallyConsistent)
  }

  /// Lets the workers end. No section is under way, and none follows.
  func close() {
    isClosing.store(true, ordering: .sequentiallyConsistent)
    mp_word_increment(epoch)
    mp_futex_wake(epoch, Int32.max)
  }

  /// Runs the section on up to `threads` threads and returns when it is done; false, with nothing done,
  /// where the crew is at work on another.
  func run(_ count: Int, threads: Int, _ body: Body) -> Bool {
    guard turn.tryTake() else { return false }
    if generation != mp_fork_generation() { forgetThreadsLostToFork() }
    startWorkers(threads - 1)
    withoutActuallyEscaping(body) { escapable in
      var boxed = escapable
      withUnsafeMutablePointer(to: &boxed) { pointer in
        runSection(
          Job(
            body: UnsafeMutableRawPointer(pointer), count: count,
            shares: min(threads, WorkerCrew.maximumShares)), threads - 1)
      }
    }
    turn.giveBack()
    return true
  }

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

  // MARK: - Workers

  /// In a forked child the parent's workers do not exist, whatever they were at, nor does who had the
  /// turn: workers to come must not take up the section that was left.
  private func forgetThreadsLostToFork() {
    job = nil
    tickets.store(0, ordering: .relaxed)
    startedWorkers.store(0, ordering: .relaxed)
    busyWorkers.store(0, ordering: .relaxed)
    sleepers.store(0, ordering: .relaxed)
    generation = mp_fork_generation()
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
    let owned = Unmanaged.passRetained(self)
    let result = pthread_create(
      &thread, &attributes,
      { crew in
        if let crew { Unmanaged<WorkerCrew>.fromOpaque(crew).takeRetainedValue().work() }
        return nil
      }, owned.toOpaque())
    if result != 0 { owned.release() }
    return result == 0
  }

  private func work() {
    // For good: a thread begins with what the one that made it had.
    _ = mp_environment_enter()
    if !processors.isEmpty { mp_use_processors(processors, Int32(processors.count)) }
    var seen: UInt32 = 0
    while true {
      seen = awaitEpoch(after: seen)
      if isClosing.load(ordering: .sequentiallyConsistent) { return }
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
