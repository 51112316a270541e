import MartletCore
import MartletKernels
import MartletPlatform

/// The most that this machine's arithmetic units do, measured: multiply-adds on registers alone.
///
/// Benchmarks quote their figures as shares of it, so that they hold on other machines and clocks.
package enum HardwarePeak {
  package enum Unit: Sendable {
    case float32, bfloat16, int8
  }

  /// Reads `byteCount` bytes on `threads` threads, a part each; the time it took in nanoseconds.
  /// Timed beside a product that streams the same memory, it is that product's limit.
  package static func timeOfReading(
    _ memory: UnsafeRawPointer, byteCount: Int, threads: Int, pool: ThreadPool = .shared
  ) -> Int64 {
    let parts = max(threads, 1)
    let part = byteCount / parts / 64 * 64
    let start = mp_now_ns()
    pool.parallelFor(parts) { index in
      _ = mk_read(
        memory + index * part, Int64(index == parts - 1 ? byteCount - index * part : part))
    }
    return max(mp_now_ns() - start, 1)
  }

  /// Operations per second of `unit` on `threads` threads, the best of some samples of 5 to 10 ms;
  /// nil where the chosen instruction set has no such unit.
  package static func measure(
    _ unit: Unit, threads: Int, samples: Int = 7, pool: ThreadPool = .shared
  ) -> Double? {
    let kernels = KernelSet.current
    let measured =
      switch unit {
      case .float32: kernels.peakFloat32
      case .bfloat16: kernels.peakBFloat16
      case .int8: kernels.peakInt8
      }
    guard let kernel = measured, threads > 0 else { return nil }
    var rounds: Int64 = 1000
    var best = 0.0
    var counted = 0
    while counted < samples {
      let start = mp_now_ns()
      pool.parallelFor(threads) { _ in _ = kernel(rounds) }
      let elapsed = max(mp_now_ns() - start, 1)
      if elapsed < 5_000_000, rounds < 1 << 40 {
        rounds *= 2
        continue
      }
      let operations = Double(kernel(1)) * Double(rounds) * Double(threads)
      best = max(best, operations / Double(elapsed) * 1e9)
      counted += 1
    }
    return best
  }
}
