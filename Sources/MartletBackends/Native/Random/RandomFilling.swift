import MartletCore

/// Fills tensors with random numbers. Element i is a function of the stream and of i alone: not of
/// threads, instruction sets or the other elements.
package enum RandomFilling {
  package enum Distribution: Sendable {
    /// Multiples of 2^-p of the way from `low` to `high`, p being the digits of the dtype's
    /// significand: below `high`, except where rounding gives it.
    case uniform(low: Double, high: Double)
    case normal(mean: Double, scale: Double)
  }

  /// Elements per piece of parallel work.
  private static let grain = 1 << 14
  /// Elements that are drawn before they are converted: 4 KiB stay in L1.
  private static let stage = 512

  /// Fills the contiguous `dst`, of a floating-point dtype: drawn in float64, rounded once.
  package static func fill(
    _ dst: Tensor, _ distribution: Distribution, _ stream: Philox, on pool: ThreadPool
  ) {
    let digits =
      switch dst.dtype {
      case .float64: 53
      case .float32: 24
      case .float16: 11
      default: 8
      }
    forEachStage(dst, on: pool) { start, buffer in
      switch distribution {
      case .uniform(let low, let high):
        // The difference of two finite numbers may be infinite.
        let half = high / 2 - low / 2
        for i in buffer.indices {
          let u = stream.fraction(start + i, digits: digits)
          buffer[i] = low + u * half + u * half
        }
      case .normal(let mean, let scale):
        for i in buffer.indices {
          // The middle of one of 2^52 parts of (0, 1).
          let p = stream.fraction(start + i, digits: 52) + 0x1p-53
          buffer[i] = mean + scale * ExactFunctions.normalQuantile(p)
        }
      }
    }
  }

  /// dst[i] = 1 with probability `probabilities[i]` (contiguous float64), else 0; dst is contiguous
  /// and of any dtype.
  package static func fill(
    _ dst: Tensor, withOnesOf probabilities: Tensor, _ stream: Philox, on pool: ThreadPool
  ) {
    let source = probabilities.typed(Double.self)
    forEachStage(dst, on: pool) { start, buffer in
      for i in buffer.indices {
        buffer[i] = stream.fraction(start + i) < source[start + i] ? 1 : 0
      }
    }
  }

  /// The same with one probability for all.
  package static func fill(
    _ dst: Tensor, withOnesAt probability: Double, _ stream: Philox, on pool: ThreadPool
  ) {
    forEachStage(dst, on: pool) { start, buffer in
      for i in buffer.indices { buffer[i] = stream.fraction(start + i) < probability ? 1 : 0 }
    }
  }

  /// The first of the contiguous float64 `values` that no probability is; nil where all lie in 0...1.
  package static func firstImprobable(_ values: Tensor) -> Double? {
    let source = UnsafeBufferPointer(start: values.typed(Double.self), count: values.count)
    return source.first { !($0 >= 0 && $0 <= 1) }
  }

  /// Draws each row of `dst`, contiguous int32 or int64 [rows, samples], from the classes of
  /// `logits`, contiguous float64 [rows, classes], whose weights are e to these powers; `logits` is
  /// overwritten. Returns the first row that has no weights: with NaN, +Inf or nothing above -Inf.
  package static func drawClasses(
    _ dst: Tensor, logits: Tensor, _ stream: Philox, on pool: ThreadPool
  ) -> Int? {
    let (rows, classes, samples) = (logits.shape[0], logits.shape[1], dst.shape[1])
    let weights = logits.typed(Double.self)
    for row in 0..<rows {
      let logits = UnsafeMutableBufferPointer(start: weights + row * classes, count: classes)
      var most = -Double.infinity
      var isFaulty = false
      for value in logits {
        most = max(most, value)
        if value.isNaN { isFaulty = true }
      }
      guard most.isFinite, !isFaulty else { return row }
    }
    pool.parallelFor(rows) { row in
      let own = UnsafeMutableBufferPointer(start: weights + row * classes, count: classes)
      accumulate(own)
      for sample in row * samples..<(row + 1) * samples {
        let found = pick(stream.fraction(sample), own)
        if dst.dtype == .int64 {
          dst.typed(Int64.self)[sample] = Int64(found)
        } else {
          dst.typed(Int32.self)[sample] = Int32(truncatingIfNeeded: found)
        }
      }
    }
    return nil
  }

  /// Sums of the weights up to each class, in place of their logarithms.
  private static func accumulate(_ row: UnsafeMutableBufferPointer<Double>) {
    var most = -Double.infinity
    for value in row { most = max(most, value) }
    var sum = 0.0
    for index in row.indices {
      sum += ExactFunctions.exp(row[index] - most)
      row[index] = sum
    }
  }

  /// The class that a fraction of the whole weight falls on; never one without weight.
  private static func pick(_ fraction: Double, _ sums: UnsafeMutableBufferPointer<Double>) -> Int {
    guard let whole = sums.last else { return 0 }
    // A product that rounds to the whole weight belongs to the last class that adds to it.
    let target = min(fraction * whole, whole.nextDown)
    var (low, high) = (0, sums.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if sums[middle] > target { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Runs `draw` for pieces of dst and converts what it writes to dst's dtype.
  private static func forEachStage(
    _ dst: Tensor, on pool: ThreadPool,
    _ draw: (_ start: Int, _ buffer: UnsafeMutableBufferPointer<Double>) -> Void
  ) {
    let count = dst.count
    let size = dst.dtype.wholeByteCount
    let target = dst.pointer
    pool.parallelFor((count + grain - 1) / grain) { chunk in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: stage) { buffer in
        guard let base = buffer.baseAddress else { return }
        let end = min((chunk + 1) * grain, count)
        for start in stride(from: chunk * grain, to: end, by: stage) {
          let part = UnsafeMutableBufferPointer(start: base, count: min(stage, end - start))
          draw(start, part)
          Casting.convert(
            part.count, UnsafeMutableRawPointer(base), .float64, target + start * size, dst.dtype)
        }
      }
    }
  }
}
