import MartletCore

/// For each place of a resized axis: the places that it is mixed from, with their weights.
package struct ResampleTaps: Sendable {
  /// Place j uses entries starts[j]..<starts[j + 1].
  package private(set) var starts: [Int] = [0]
  package private(set) var indices: [Int] = []
  package private(set) var weights: [Double] = []

  /// For `places` places, of about `reach` taps each.
  package init(places: Int, reach: Int) {
    starts.reserveCapacity(places + 1)
    indices.reserveCapacity(places * reach)
    weights.reserveCapacity(places * reach)
  }

  package var count: Int { starts.count - 1 }

  /// Adds a tap to the place that is being mixed, unless it weighs nothing.
  package mutating func append(_ index: Int, _ weight: Double) {
    guard weight != 0 else { return }
    indices.append(index)
    weights.append(weight)
  }

  /// Ends the place that is being mixed, each weight of it divided by `total`.
  package mutating func endPlace(dividingBy total: Double = 1) {
    if total != 1 {
      for tap in (starts.last ?? 0)..<weights.count { weights[tap] /= total }
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
    if src.dtype == .float64 {
      mix(taps.weights, src, outer, extent, inner, taps, into: dst, workspace)
    } else {
      mix(taps.weights.map { Float($0) }, src, outer, extent, inner, taps, into: dst, workspace)
    }
  }

  @inline(__always)
  private static func mix<T: RealElement>(
    _ weights: [T], _ src: Tensor, _ outer: Int, _ extent: Int, _ inner: Int, _ taps: ResampleTaps,
    into dst: Tensor, _ workspace: Workspace
  ) {
    // Few elements per place are worth whole lines at a time; many, single places.
    let places = inner < 16 ? taps.count : 1
    let units = outer * taps.count / max(places, 1)
    let perChunk = max(1, (1 << 13) / max(inner * places, 1))
    let (from, to) = (src.typed(T.self), dst.typed(T.self))
    taps.starts.withUnsafeBufferPointer { starts in
      taps.indices.withUnsafeBufferPointer { indices in
        weights.withUnsafeBufferPointer { weights in
          nonisolated(unsafe) let mixer = Mixer(
            extent: extent, inner: inner, count: taps.count, starts: starts, indices: indices,
            weights: weights, src: from, dst: to)
          workspace.pool.parallelFor((units + perChunk - 1) / perChunk) { chunk in
            let first = chunk * perChunk * places
            mixer.run(first..<min(first + perChunk * places, outer * taps.count))
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
private struct Mixer<T: RealElement> {
  let extent: Int
  let inner: Int
  let count: Int
  let starts: UnsafeBufferPointer<Int>
  let indices: UnsafeBufferPointer<Int>
  let weights: UnsafeBufferPointer<T>
  let src: UnsafePointer<T>
  let dst: UnsafeMutablePointer<T>

  /// Rows `range` of the result, a row being `inner` elements of one place.
  @inline(__always)
  func run(_ range: Range<Int>) {
    var (block, place) = range.lowerBound.quotientAndRemainder(dividingBy: max(count, 1))
    var row = range.lowerBound
    while row < range.upperBound {
      let lines = src + block * extent * inner
      let end = min(range.upperBound, row + count - place)
      if inner == 1 {
        mixLine(place..<place + (end - row), lines, dst + row)
      } else {
        for offset in 0..<end - row {
          mixRow(
            starts[place + offset]..<starts[place + offset + 1], lines, dst + (row + offset) * inner
          )
        }
      }
      row = end
      (block, place) = (block + 1, 0)
    }
  }

  /// Places of one line, an element each.
  @inline(__always)
  private func mixLine(
    _ places: Range<Int>, _ line: UnsafePointer<T>, _ out: UnsafeMutablePointer<T>
  ) {
    var tap = starts[places.lowerBound]
    for (index, place) in places.enumerated() {
      let end = starts[place + 1]
      if end - tap == 2 {
        // Linear almost everywhere.
        let first = 0 + weights[tap] * line[indices[tap]]
        out[index] = first + weights[tap + 1] * line[indices[tap + 1]]
        tap = end
        continue
      }
      var sum = T.zero
      while tap < end {
        sum += weights[tap] * line[indices[tap]]
        tap += 1
      }
      out[index] = sum
    }
  }

  /// One place of `inner` elements.
  @inline(__always)
  private func mixRow(
    _ taps: Range<Int>, _ lines: UnsafePointer<T>, _ out: UnsafeMutablePointer<T>
  ) {
    var tap = taps.lowerBound
    if taps.isEmpty {
      for i in 0..<inner { out[i] = 0 }
    } else if taps.count == 1 {
      let (weight, line) = (weights[tap], lines + indices[tap] * inner)
      for i in 0..<inner { out[i] = 0 + weight * line[i] }
      return
    } else {
      // From 0, as if each tap were added by itself.
      let (a, b) = (weights[tap], weights[tap + 1])
      let (first, second) = (lines + indices[tap] * inner, lines + indices[tap + 1] * inner)
      for i in 0..<inner { out[i] = (0 + a * first[i]) + b * second[i] }
      tap += 2
    }
    while tap < taps.upperBound {
      let (weight, line) = (weights[tap], lines + indices[tap] * inner)
      for i in 0..<inner { out[i] += weight * line[i] }
      tap += 1
    }
  }
}
