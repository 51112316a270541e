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
    let places = taps.count
    let rows = outer * places
    let perChunk = max(1, (1 << 13) / max(inner, 1))
    workspace.pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
      for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) {
        let (block, place) = row.quotientAndRemainder(dividingBy: places)
        let range = taps.starts[place]..<taps.starts[place + 1]
        if src.dtype == .float64 {
          mixRow(
            from.assumingMemoryBound(to: Double.self) + block * extent * inner, inner, taps, range,
            to.assumingMemoryBound(to: Double.self) + row * inner)
        } else {
          mixRow(
            from.assumingMemoryBound(to: Float.self) + block * extent * inner, inner, taps, range,
            to.assumingMemoryBound(to: Float.self) + row * inner)
        }
      }
    }
  }

  private static func mixRow<T: RealElement>(
    _ src: UnsafePointer<T>, _ inner: Int, _ taps: ResampleTaps, _ range: Range<Int>,
    _ dst: UnsafeMutablePointer<T>
  ) {
    dst.update(repeating: 0, count: inner)
    for tap in range {
      let weight = T(taps.weights[tap])
      let line = src + taps.indices[tap] * inner
      for i in 0..<inner { dst[i] += weight * line[i] }
    }
  }
}
