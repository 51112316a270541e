import MartletCore

/// Scale and zero point of values that are quantised to uint8 by their own range, which always contains
/// 0: scale = (max - min) / 255, zero = saturate(round(-min / scale)).
///
/// Where all values are 0 (or there are none) the scale is 1; a range of NaN has the zero point 0.
package struct DynamicRange {
  package let scale: Float
  package let zero: Int32

  package init(least: Float, most: Float) {
    let (least, most) = (min(least, 0), max(most, 0))
    scale = least == most ? 1 : (most - least) / 255
    let exact = (-least / scale).rounded(.toNearestOrEven)
    zero = exact.isNaN ? 0 : Int32(min(max(exact, 0), 255))
  }

  /// That of `count` values.
  package init(_ values: UnsafePointer<Float>, _ count: Int) {
    var (least, most): (Float, Float) = (0, 0)
    for index in 0..<count {
      let value = values[index]
      least = value < least ? value : least
      most = value > most ? value : most
    }
    self.init(least: least, most: most)
  }

  /// `dst` = saturate(round(src / scale) + zero), half to even, uint8.
  package func quantize(
    _ src: UnsafePointer<Float>, _ count: Int, into dst: UnsafeMutableRawPointer, pool: ThreadPool
  ) {
    withUnsafePointer(to: scale) { scales in
      withUnsafePointer(to: zero) { zeros in
        Quantizing.quantize(
          src, into: dst, .uint8,
          Quantizing.Parameters(scales: scales, zeros: zeros, outer: 1, axis: 1, inner: count),
          pool: pool)
      }
    }
  }
}
