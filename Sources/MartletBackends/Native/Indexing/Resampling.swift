import MartletCore

/// For each place of a resized axis: the places that it is mixed from, with their weights.
package struct ResampleTaps: Sendable {
  /// Place j uses entries starts[j]..<starts[j + 1].
  package var starts: [Int] = [0]
  package var indices: [Int] = []
  package var weights: [Double] = []

  package init() {}

  package var count: Int { starts.count - 1 }

  /// Adds a place mixed from `taps`.
  package mutating func append(_ taps: [(index: Int, weight: Double)]) {
    for tap in taps where tap.weight != 0 {
      indices.append(tap.index)
      weights.append(tap.weight)
    }
    starts.append(indices.count)
  }
}

/// Weighted mixing along one axis.
package enum Resampling {
  /// dst[o, j, i] = sum over the taps of j of weight * src[o, index, i], in the taps' order.
  ///
  /// src [outer, extent, inner] and dst [outer, taps.count, inner] are contiguous, both float32 or
  /// both float64.
  package static func mix(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, _ taps: ResampleTaps, into dst: Tensor,
    _ workspace: Workspace
  ) {
    let (from, to) = (src.pointer, dst.pointer)
    // Few elements per place are worth whole lines at a time; many, single places.
    let places = inner < 16 ? taps.count : 1
    let units = outer * taps.count / max(places, 1)
    let perChunk = max(1, (1 << 13) / max(inner * places, 1))
    let starts = taps.starts
    let (indices, weights) = (taps.indices, taps.weights)
    workspace.pool.parallelFor((units + perChunk - 1) / perChunk) { chunk in
      starts.withUnsafeBufferPointer { starts in
        indices.withUnsafeBufferPointer { indices in
          weights.withUnsafeBufferPointer { weights in
            let mixer = Mixer(
              extent: extent, inner: inner, count: taps.count, starts: starts, indices: indices,
              weights: weights)
            let first = chunk * perChunk * places
            let range = first..<min(first + perChunk * places, outer * taps.count)
            if src.dtype == .float64 {
              mixer.run(
                range, from.assumingMemoryBound(to: Double.self),
                to.assumingMemoryBound(to: Double.self))
            } else {
              mixer.run(
                range, from.assumingMemoryBound(to: Float.self),
                to.assumingMemoryBound(to: Float.self))
            }
          }
        }
      }
    }
  }
}

extension Resampling {
  /// Makes mixed float32 `values` ready for the cast to the integers of `dtype`, in place: rounded to
  /// nearest, or else such that the cast truncates what is an integer but for rounding to that
  /// integer. 8- and 16-bit integers are saturated, since cubic filters overshoot.
  package static func settle(_ values: Tensor, as dtype: DType, rounds: Bool) {
    let range: ClosedRange<Float>
    switch dtype {
    case .int8: range = -128...127
    case .uint8: range = 0...255
    case .int16: range = -32768...32767
    case .uint16: range = 0...65535
    case .int32, .int64, .uint32, .uint64:
      range = -(.greatestFiniteMagnitude) ... .greatestFiniteMagnitude
    default: return
    }
    let elements = values.typed(Float.self)
    for index in 0..<values.count {
      let value = elements[index]
      let settled = rounds ? (value + 0.5).rounded(.down) : value + (value < 0 ? -slack : slack)
      elements[index] = min(max(settled, range.lowerBound), range.upperBound)
    }
  }

  /// The same for mixed float64 `values`, truncated: all integers are saturated.
  package static func settle(_ values: Tensor, as dtype: DType) {
    guard dtype.isInteger else { return }
    let bound = Double(sign: .plus, exponent: dtype.bitWidth, significand: 1)
    // The first number beyond the type; of those of 64 bits the greatest float64 below it.
    let end = dtype.isSignedInteger ? bound / 2 : bound
    let most = dtype.bitWidth == 64 ? end.nextDown : end - 1
    let least = dtype.isSignedInteger ? -end : 0
    let elements = values.typed(Double.self)
    for index in 0..<values.count {
      let value = elements[index]
      elements[index] = min(max(value + (value < 0 ? -0x1p-20 : 0x1p-20), least), most)
    }
  }

  /// More than the error of mixing 8-bit values.
  private static let slack: Float = 1 / 1024
}

/// The taps of an axis as buffers, for one thread.
private struct Mixer {
  let extent: Int
  let inner: Int
  let count: Int
  let starts: UnsafeBufferPointer<Int>
  let indices: UnsafeBufferPointer<Int>
  let weights: UnsafeBufferPointer<Double>

  /// Rows `range` of the result, a row being `inner` elements of one place.
  func run<T: RealElement>(
    _ range: Range<Int>, _ src: UnsafePointer<T>, _ dst: UnsafeMutablePointer<T>
  ) {
    var (block, place) = range.lowerBound.quotientAndRemainder(dividingBy: max(count, 1))
    for row in range {
      let lines = src + block * extent * inner
      let out = dst + row * inner
      for i in 0..<inner { out[i] = 0 }
      for tap in starts[place]..<starts[place + 1] {
        let weight = T(weights[tap])
        let line = lines + indices[tap] * inner
        for i in 0..<inner { out[i] += weight * line[i] }
      }
      place += 1
      if place == count { (block, place) = (block + 1, 0) }
    }
  }
}
