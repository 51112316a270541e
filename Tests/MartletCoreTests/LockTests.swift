import Glibc
import Testing

@testable import MartletCore

@Suite struct LockTests {
  private struct Refused: Error {}

  /// Runs `body` on `count` threads at once.
  private func onThreads(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var threads: [pthread_t] = []
    for _ in 0..<count {
      var thread = pthread_t()
      pthread_create(
        &thread, nil,
        { raw in
          if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body() }
          return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
      threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
  }

  @Test("a value is changed by one thread at a time") func exclusion() {
    final class Shared: Sendable {
      let lock = Lock([0, 0])
    }
    let shared = Shared()
    onThreads(4) {
      for _ in 0..<20_000 {
        shared.lock.withLock { pair in
          pair[0] += 1
          pair[1] = pair[0]
        }
      }
    }
    #expect(shared.lock.withLock { $0 } == [80_000, 80_000])
  }

  @Test("an error that is thrown inside gives the lock back") func errors() {
    let lock = Lock(1)
    #expect(throws: Refused.self) {
      try lock.withLock { value throws(Refused) in
        value = 2
        throw Refused()
      }
    }
    #expect(lock.withLock { $0 } == 2)
  }

  @Test("locks may be taken inside each other") func nesting() {
    let outer = Lock(1)
    let inner = Lock(2)
    #expect(outer.withLock { a in inner.withLock { b in a + b } } == 3)
  }

  @Test("what a lock holds goes with it") func lifetime() {
    final class Held: Sendable {}
    weak var held: Held?
    do {
      let object = Held()
      held = object
      let lock = Lock<Held?>(object)
      #expect(lock.withLock { $0 } === object)
    }
    #expect(held == nil)
  }

  @Test("one thread at a time has a turn") func turns() {
    final class Shared: @unchecked Sendable {
      let turn = Turn()
      var sum = 0
    }
    let shared = Shared()
    onThreads(4) {
      for _ in 0..<5_000 { shared.turn.wait { shared.sum += 1 } }
    }
    #expect(shared.sum == 20_000)
    let first = shared.turn.tryTake()
    let second = shared.turn.tryTake()
    shared.turn.giveBack()
    let third = shared.turn.tryTake()
    #expect(first && !second && third)
  }
}
