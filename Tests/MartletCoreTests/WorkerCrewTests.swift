import Glibc
import MartletPlatform
import Synchronization
import Testing

@testable import MartletCore

@Suite(.serialized) struct WorkerCrewTests {
  private final class Marks: Sendable {
    let sum = Atomic<Int>(0)
    let elsewhere = Atomic<Int>(0)
  }

  /// The processors that this thread may use.
  private var processors: [Int32] { (0..<1024).filter { mp_may_use_processor($0) } }

  @Test("late workers take nothing of a section that is over, nor of the next by its number")
  func sectionsInARow() {
    // More workers than processors, some of which are late for most sections.
    let crew = WorkerCrew(processors: processors + processors)
    defer { crew.close() }
    let most = 97
    let marks = UnsafeMutablePointer<UInt8>.allocate(capacity: most)
    defer { marks.deallocate() }
    var faults = 0
    for round in 0..<30_000 {
      let count = 2 + round * 7 % (most - 1)
      marks.initialize(repeating: 0, count: most)
      let value = UInt8(truncatingIfNeeded: round) | 1
      let isShared = crew.run(count, threads: 2 + round % 4) { marks[$0] &+= value }
      if !isShared || (0..<most).contains(where: { marks[$0] != ($0 < count ? value : 0) }) {
        faults += 1
      }
    }
    #expect(faults == 0)
  }

  @Test("a thread that is kept to one processor works alone, and has help again afterwards")
  func narrowedAffinity() throws {
    let all = processors
    guard all.count > 1, let one = all.last else { return }
    let pool = try ThreadPool(threads: 4)
    let caller = UInt(pthread_self())
    /// Chunks that other threads ran.
    func chunksElsewhere() -> Int {
      let marks = Marks()
      for _ in 0..<300 {
        pool.parallelFor(16) { _ in
          if UInt(pthread_self()) != caller { marks.elsewhere.add(1, ordering: .relaxed) }
          for _ in 0..<200 { mp_spin_hint() }
        }
      }
      return marks.elsewhere.load(ordering: .relaxed)
    }
    #expect(chunksElsewhere() > 0)
    mp_use_processors([one], 1)
    _ = chunksElsewhere()
    let narrowed = chunksElsewhere()
    mp_use_processors(all, Int32(all.count))
    _ = chunksElsewhere()
    #expect(narrowed == 0)
    #expect(chunksElsewhere() > 0)
  }

  @Test("more threads than processors share what they can, each index once") func crowded() throws {
    let pool = try ThreadPool(threads: 64)
    let marks = Marks()
    for count in 1...200 {
      pool.parallelFor(count) { marks.sum.add($0 + 1, ordering: .relaxed) }
    }
    #expect(marks.sum.load(ordering: .relaxed) == (1...200).reduce(0) { $0 + $1 * ($1 + 1) / 2 })
  }
}
