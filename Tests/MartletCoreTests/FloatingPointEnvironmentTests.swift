import Glibc
import Testing

@testable import MartletCore

@Suite struct FloatingPointEnvironmentTests {
  /// Numbers of C's, which are of several types.
  private enum Rounding {
    static let nearest: Int32 = FE_TONEAREST
    static let up: Int32 = FE_UPWARD
    static let down: Int32 = FE_DOWNWARD
  }
  private let invalid: Int32 = FE_INVALID
  private let all: Int32 = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INEXACT

  /// The quotient as it is computed now: never by the compiler, nor once for two calls.
  @_optimize(none) private func divided(_ a: Float, _ b: Float) -> Float { a / b }

  @Test(
    "the library rounds to nearest whatever the caller does",
    arguments: [Rounding.up, Rounding.down])
  func rounding(_ direction: Int32) {
    let nearest = divided(1, 3)
    let negative = divided(-1, 3)
    fesetround(direction)
    let outside = [divided(1, 3), divided(-1, 3)]
    let inside = FloatingPointEnvironment.own { [divided(1, 3), divided(-1, 3)] }
    let kept = fegetround()
    fesetround(Rounding.nearest)
    #expect(outside != [nearest, negative])
    #expect(inside == [nearest, negative])
    #expect(kept == direction)
  }

  @Test("the caller finds its exception flags as they were") func flags() {
    feclearexcept(all)
    _ = FloatingPointEnvironment.own { divided(1, 0) }
    let none = fetestexcept(all)
    feraiseexcept(invalid)
    _ = FloatingPointEnvironment.own { divided(1, 3) }
    let own = fetestexcept(all)
    feclearexcept(all)
    #expect(none == 0)
    #expect(own == invalid)
  }

  @Test("the threads of a pool compute in it too") func workers() throws {
    let pool = try ThreadPool(threads: 3)
    let nearest = divided(-1, 3)
    fesetround(Rounding.up)
    defer { fesetround(Rounding.nearest) }
    // Not what fegetround() says, which on x86 is x87's.
    #expect(divided(-1, 3) != nearest)
    let quotients = UnsafeMutablePointer<Float>.allocate(capacity: 64)
    defer { quotients.deallocate() }
    FloatingPointEnvironment.own {
      pool.parallelFor(64) { index in
        usleep(100)
        quotients[index] = divided(-1, 3)
      }
    }
    #expect((0..<64).allSatisfy { quotients[$0] == nearest })
  }
}
