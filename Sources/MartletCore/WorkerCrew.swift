import Glibc
import MartletPlatform
import Synchronization

/// The worker threads of a pool, and the section of work that they share with the thread that calls.
///
/// Every thread claims chunks from a share of its own, always the same part of the count, so that what
/// one section leaves in a core's caches is there for the next; then from the others' shares. The
/// section is done when all chunks are: nobody waits for a worker that has begun none, be it late,
/// asleep or descheduled. Such a worker finds by the section's number that there is nothing for it.
/// Between sections workers spin for a bounded time, then sleep on a futex. They start with the first
/// section that wants them and end soon after `close`; they own the crew, so that they may be the last
/// to let it go.
///
/// **Forks.** None of the workers is there in a child. Whoever is first to have the crew there finds
/// by the generation that they are lost, and starts anew.
///
/// @unchecked Sendable: a section is published through atomics; what is not atomic is only touched by
/// who has the turn.
final class WorkerCrew: @unchecked Sendable {
  /// What a section runs, `body(i)` for each i in 0..<count.
  typealias Body = (Int) -> Void

  /// What a section is, in atomics: a late worker may read what is just written. It can claim nothing
  /// then (see `drain`).
  private struct Job: ~Copyable {
    let body = Atomic<UInt>(0)
    let count = Atomic<Int>(0)
    /// In how many shares the count is dealt, evenly and in order.
    let shares = Atomic<Int>(1)
    /// Whether the thread that calls flushes denormals.
    let flushes = Atomic<Bool>(false)
  }

  /// The section's number above the next chunk of a share, alone in its cache line.
  private struct Share: ~Copyable {
    let next = Atomic<UInt64>(0)
    private let padding = (0, 0, 0, 0, 0, 0, 0)
  }

  private let turn = Turn()
  /// The last section's number; workers wait for a change. Its address is the futex word.
  private let epoch: UnsafeMutablePointer<UInt32>
  private static let maximumShares = 64
  private let job = Job()
  private let shares: UnsafeMutablePointer<Share>
  /// The section's number above how many more workers may join it.
  private let tickets = Atomic<UInt64>(0)
  /// Chunks of the section that are not done.
  private let remaining = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  /// Written only by who has the turn.
  private let startedWorkers = Atomic<Int>(0)
  private var generation = mp_fork_generation()
  private let isClosing = Atomic<Bool>(false)
  /// Where workers may run; empty: where the thread that starts them may.
  private let processors: [Int32]
  private let usableProcessors = Atomic<Int>(Int(mp_affinity_count()))
  private var sectionsUntilLook = 0
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

  /// Threads that a section is worth sharing among: one for each processor that the thread which had the
  /// last sections may use (more only wait for each other), or for each that the workers were given
  /// and the caller.
  var usefulThreads: Int {
    processors.isEmpty ? usableProcessors.load(ordering: .relaxed) : processors.count + 1
  }

  /// Lets the workers end. No section is under way, and none follows.
  func close() {
    isClosing.store(true, ordering: .sequentiallyConsistent)
    mp_word_increment(epoch)
    mp_futex_wake(epoch, Int32.max)
  }

  /// Runs the section on up to `threads` threads and returns when it is done; false, with nothing done,
  /// where the crew is at work on another, its threads have one processor, or there are more chunks
  /// than a word counts.
  func run(_ count: Int, threads: Int, _ body: Body) -> Bool {
    guard count < Int(UInt32.max), turn.tryTake() else { return false }
    if generation != mp_fork_generation() { forgetThreadsLostToFork() }
    lookAtProcessors(threads)
    let helpers = min(threads, usefulThreads) - 1
    guard helpers > 0 else {
      turn.giveBack()
      return false
    }
    startWorkers(helpers)
    withoutActuallyEscaping(body) { escapable in
      var boxed = escapable
      withUnsafeMutablePointer(to: &boxed) { pointer in
        runSection(
          UInt(bitPattern: pointer), count, shares: min(threads, WorkerCrew.maximumShares),
          helpers: helpers)
      }
    }
    turn.giveBack()
    return true
  }

  /// Affinity may be narrowed at any time: it is asked for before workers are woken, and now and then.
  private func lookAtProcessors(_ threads: Int) {
    sectionsUntilLook -= 1
    guard sectionsUntilLook < 0 || awakeWorkers < min(threads, usefulThreads) - 1 else { return }
    sectionsUntilLook = 256
    usableProcessors.store(Int(mp_affinity_count()), ordering: .relaxed)
  }

  private func runSection(_ body: UInt, _ count: Int, shares shareCount: Int, helpers: Int) {
    let number = UInt64(mp_word_load(epoch) &+ 1) << 32
    // First nothing can be claimed of the section before, then what shares are shares of changes.
    for share in 0..<job.shares.load(ordering: .relaxed) {
      shares[share].next.store(number | UInt64(UInt32.max), ordering: .relaxed)
    }
    job.body.store(body, ordering: .releasing)
    job.count.store(count, ordering: .releasing)
    job.flushes.store(mp_environment_flushes(), ordering: .releasing)
    job.shares.store(shareCount, ordering: .releasing)
    remaining.store(count, ordering: .relaxed)
    for share in 0..<shareCount {
      let start = WorkerCrew.start(share, count, shareCount)
      shares[share].next.store(number | UInt64(start), ordering: .releasing)
    }
    // Only `helpers` of the workers take part: each takes one ticket.
    tickets.store(number | UInt64(helpers), ordering: .sequentiallyConsistent)
    mp_word_increment(epoch)
    let missing = helpers - awakeWorkers
    if missing > 0 { mp_futex_wake(epoch, Int32(missing)) }
    drain(number, first: 0)
    tickets.store(number, ordering: .relaxed)
    var spins = 0
    while remaining.load(ordering: .acquiring) > 0 {
      mp_spin_hint()
      spins += 1
      // More threads than processors: let the worker that we wait for run.
      if spins % 1024 == 0 { sched_yield() }
    }
  }

  private static func start(_ share: Int, _ count: Int, _ shares: Int) -> Int {
    let (size, larger) = count.quotientAndRemainder(dividingBy: shares)
    return share * size + min(share, larger)
  }

  /// Runs what is left of the section's shares, from `first` on.
  ///
  /// A chunk is claimed from a word that still has the section's number. So the section was under way,
  /// and is until the chunk is done: what was read of the job before is its own.
  private func drain(_ number: UInt64, first: Int) {
    mp_set_in_parallel(true)
    let shareCount = job.shares.load(ordering: .acquiring)
    let count = job.count.load(ordering: .acquiring)
    mp_environment_flush(job.flushes.load(ordering: .acquiring))
    let body = UnsafePointer<Body>(bitPattern: job.body.load(ordering: .acquiring))
    var done = 0
    for step in 0..<shareCount {
      let share = (first + step) % shareCount
      let end = number | UInt64(WorkerCrew.start(share + 1, count, shareCount))
      var word = shares[share].next.load(ordering: .acquiring)
      while word >= number, word < end {
        let (exchanged, original) = shares[share].next.weakCompareExchange(
          expected: word, desired: word + 1, successOrdering: .acquiringAndReleasing,
          failureOrdering: .acquiring)
        word = original
        if exchanged {
          body?.pointee(Int(word - number))
          done += 1
          word = shares[share].next.load(ordering: .acquiring)
        }
      }
    }
    if done > 0 { remaining.subtract(done, ordering: .acquiringAndReleasing) }
    mp_set_in_parallel(false)
  }

  // MARK: - Workers

  /// In a forked child the parent's workers do not exist, whatever they were at, nor does who had the
  /// turn: workers to come must not take up the section that was left.
  private func forgetThreadsLostToFork() {
    tickets.store(0, ordering: .relaxed)
    for share in 0..<WorkerCrew.maximumShares { shares[share].next.store(0, ordering: .relaxed) }
    startedWorkers.store(0, ordering: .relaxed)
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
      let number = UInt64(seen) << 32
      if let ticket = takeTicket(number) { drain(number, first: ticket) }
    }
  }

  /// A number from 1 to that of the helpers, or nil where no more are wanted or the section is over.
  private func takeTicket(_ number: UInt64) -> Int? {
    var word = tickets.load(ordering: .acquiring)
    while word > number, word >> 32 == number >> 32 {
      let (exchanged, original) = tickets.weakCompareExchange(
        expected: word, desired: word - 1, successOrdering: .acquiringAndReleasing,
        failureOrdering: .acquiring)
      if exchanged { return Int(word - number) }
      word = original
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
