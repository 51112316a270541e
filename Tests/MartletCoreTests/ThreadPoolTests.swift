import Glibc
import MartletPlatform
import Synchronization
import Testing

@testable import MartletCore

@Suite(.serialized) struct ThreadPoolTests {
  @Test("runs every index exactly once", arguments: [0, 1, 2, 3, 7, 1000], [1, 2, 3, 5])
  func everyIndexOnce(count: Int, threads: Int) throws {
    let pool = ThreadPool.shared
    try pool.setThreadCount(threads)
    defer { try? pool.setThreadCount(0) }
    let marks = UnsafeMutablePointer<Int>.allocate(capacity: count + 1)
    marks.initialize(repeating: 0, count: count + 1)
    defer { marks.deallocate() }
    for _ in 0..<200 {
      pool.parallelFor(count) { marks[$0] += 1 }
    }
    #expect((0..<count).allSatisfy { marks[$0] == 200 })
  }

  @Test("nested sections and many callers at once finish") func nestedAndConcurrent() {
    final class Box: Sendable { let sum = Atomic<Int>(0) }
    let box = Box()
    var threads: [pthread_t] = []
    for _ in 0..<8 {
      var thread = pthread_t()
      let argument = Unmanaged.passRetained(box).toOpaque()
      pthread_create(
        &thread, nil,
        { raw in
          guard let raw else { return nil }
          let box = Unmanaged<Box>.fromOpaque(raw).takeRetainedValue()
          for _ in 0..<100 {
            ThreadPool.shared.parallelFor(4) { _ in
              ThreadPool.shared.parallelFor(5) { _ in box.sum.add(1, ordering: .relaxed) }
            }
          }
          return nil
        }, argument)
      threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
    #expect(box.sum.load(ordering: .relaxed) == 8 * 100 * 20)
  }

  @Test("sleeping workers wake up") func sleep() throws {
    let pool = ThreadPool.shared
    try pool.setSpinMicroseconds(0)
    defer { try? pool.setSpinMicroseconds(100) }
    final class Box: Sendable { let sum = Atomic<Int>(0) }
    let box = Box()
    for _ in 0..<50 {
      usleep(200)
      pool.parallelFor(16) { _ in box.sum.add(1, ordering: .relaxed) }
    }
    #expect(box.sum.load(ordering: .relaxed) == 800)
  }

  @Test("a section inside another is for one thread, however long") func threadsWithin() {
    let pool = ThreadPool.shared
    final class Box: Sendable { let threads = Atomic<Int>(0) }
    let box = Box()
    pool.parallelFor(8) { _ in
      box.threads.add(pool.threadCount(forNanoseconds: .max), ordering: .relaxed)
    }
    // Where the pool was taken, all eight ran in line on this thread, which asks like any other.
    #expect(box.threads.load(ordering: .relaxed) >= 8)
    #expect(pool.threadCount(forNanoseconds: 0) >= 1)
  }

  @Test("a caller's own parallel-for gets every task") func external() {
    let pool = ThreadPool.shared
    pool.setExternal(
      { _, count, task, context in
        for index in (0..<count).reversed() { task(context, index) }
      }, user: nil)
    defer { pool.setExternal(nil, user: nil) }
    final class Box: Sendable { let sum = Atomic<Int>(0) }
    let box = Box()
    pool.parallelFor(10) { box.sum.add($0, ordering: .relaxed) }
    #expect(box.sum.load(ordering: .relaxed) == 45)
  }

  /// The workers of a pool, for as long as there are any.
  private struct WeakCrew {
    weak var crew: WorkerCrew?
  }

  @Test("pools of one's own run side by side and leave no threads behind") func instances() throws {
    final class Box: Sendable { let sum = Atomic<Int>(0) }
    let box = Box()
    var crews: [WeakCrew] = []
    do {
      let pools = try [2, 3, 5].map { try ThreadPool(threads: $0) }
      #expect(pools.map(\.threadCount) == [2, 3, 5])
      crews = pools.map { WeakCrew(crew: $0.crew) }
      // A section inside one of another pool is done by its own thread.
      for pool in pools {
        pool.parallelFor(7) { _ in
          pools[0].parallelFor(11) { _ in box.sum.add(1, ordering: .relaxed) }
        }
      }
      #expect(box.sum.load(ordering: .relaxed) == 3 * 77)
    }
    // They end soon, not at once.
    for _ in 0..<500 where crews.contains(where: { $0.crew != nil }) { usleep(10_000) }
    #expect(crews.allSatisfy { $0.crew == nil })
  }

  @Test("workers keep to their pool's processors") func processors() throws {
    final class Box: Sendable { let elsewhere = Atomic<Int>(0) }
    let box = Box()
    guard let processor = (0..<1024).last(where: { mp_may_use_processor(Int32($0)) }) else {
      return
    }
    let pool = try ThreadPool(threads: 3, processors: [processor, processor])
    let caller = pthread_self()
    for _ in 0..<50 {
      pool.parallelFor(64) { _ in
        if pthread_equal(pthread_self(), caller) == 0,
          !(mp_affinity_count() == 1 && mp_may_use_processor(Int32(processor)))
        {
          box.elsewhere.add(1, ordering: .relaxed)
        }
      }
    }
    #expect(box.elsewhere.load(ordering: .relaxed) == 0)
    #expect(try ThreadPool(threads: 0, processors: [processor]).threadCount == 1)
    for bad in [-1, 1 << 20, Int.max] {
      #expect(throws: MartletError.self) { try ThreadPool(threads: 1, processors: [bad]) }
    }
  }

  @Test("refuses thread counts out of range", arguments: [-1, 1025])
  func range(count: Int) {
    #expect(throws: MartletError.self) { try ThreadPool.shared.setThreadCount(count) }
    #expect(throws: MartletError.self) { try ThreadPool(threads: count) }
  }
}
