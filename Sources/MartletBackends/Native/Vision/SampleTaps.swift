import MartletCore

/// The taps of a block of points: offsets into a plane, -1 for what is outside, and weights. Tap t of
/// point p stands at `t * points + p`.
struct SampleTaps<T: RealElement> {
  let points: Int
  let count: Int
  let offsets: UnsafeMutablePointer<Int>
  let weights: UnsafeMutablePointer<T>

  init(_ memory: UnsafeMutableRawPointer, points: Int, count: Int) {
    self.points = points
    self.count = count
    offsets = memory.assumingMemoryBound(to: Int.self)
    weights = (memory + 8 * points * count).assumingMemoryBound(to: T.self)
  }

  /// One tap for each point, of weight 1 at the plane's start.
  func begin() {
    offsets.update(repeating: 0, count: points)
    weights.update(repeating: 1, count: points)
  }

  /// Puts `reach` taps along one more axis in the place of each of the `known` taps of a point, `stride`
  /// elements between neighbours of the axis; steps of -1 are outside. Whether all are inside.
  @inline(__always)
  func multiply(
    _ point: Int, known: Int, reach: Int, stride: Int, _ steps: (Int, Int, Int, Int),
    _ factors: (T, T, T, T)
  ) -> Bool {
    var isInside = true
    // From the last on, so that no tap is overwritten before it is read.
    var tap = known
    while tap > 0 {
      tap &-= 1
      let offset = offsets[tap &* points &+ point]
      let weight = weights[tap &* points &+ point]
      var step = reach
      while step > 0 {
        step &-= 1
        let (index, factor) =
          step == 0
          ? (steps.0, factors.0)
          : step == 1
            ? (steps.1, factors.1) : step == 2 ? (steps.2, factors.2) : (steps.3, factors.3)
        let place = (tap &* reach &+ step) &* points &+ point
        let isOutside = offset < 0 || index < 0
        offsets[place] = isOutside ? -1 : offset &+ index &* stride
        weights[place] = weight * factor
        if isOutside { isInside = false }
      }
    }
    return isInside
  }

  /// dst[p] = the sum of weight * read(plane, offset) over the taps of p: four at a time, in pairs.
  @inline(__always)
  func mix(
    _ plane: UnsafePointer<T>, into dst: UnsafeMutablePointer<T>,
    read: (UnsafePointer<T>, Int) -> T
  ) {
    if count == 2 {
      for point in 0..<points {
        dst[point] =
          weights[point] * read(plane, offsets[point])
          + weights[point &+ points] * read(plane, offsets[point &+ points])
      }
      return
    }
    var tap = 0
    while tap < count {
      let (o, w) = (offsets + tap * points, weights + tap * points)
      let (o1, o2, o3) = (o + points, o + 2 * points, o + 3 * points)
      let (w1, w2, w3) = (w + points, w + 2 * points, w + 3 * points)
      for point in 0..<points {
        let first = w[point] * read(plane, o[point]) + w1[point] * read(plane, o1[point])
        let second = w2[point] * read(plane, o2[point]) + w3[point] * read(plane, o3[point])
        dst[point] = tap == 0 ? first + second : dst[point] + (first + second)
      }
      tap += 4
    }
  }
}

extension SampleTaps {
  /// Bytes for so many taps of either type, with room for the widest.
  static func byteCount(points: Int, taps: Int) -> Int { 16 * points * taps }
}
