import MartletBackends
import MartletCore

/// How many times as long an axis becomes: the fraction that was meant, where that can be told.
///
/// A float32 stands for the simplest fraction that rounds to it: 0.3 for 3/10, which it is not. Places
/// that lie between two others are where they would be by that fraction, and 10 places become 7 by 0.7.
struct ResizeScale {
  let value: Double
  let fraction: (numerator: Int, denominator: Int)?

  init(_ value: Double) {
    fraction = ResizeScale.simplest(value)
    self.value = fraction.map { Double($0.numerator) / Double($0.denominator) } ?? value
  }

  init(_ size: Int, of extent: Int) {
    value = Double(size) / Double(extent)
    guard size > 0, extent > 0 else {
      fraction = nil
      return
    }
    var (divisor, rest) = (size, extent)
    while rest > 0 { (divisor, rest) = (rest, divisor % rest) }
    fraction = (size / divisor, extent / divisor)
  }

  /// Of a tensor's elements.
  static func list(_ tensor: Tensor) -> [ResizeScale] {
    SmallTensors.doubles(tensor).map { ResizeScale($0) }
  }

  /// floor(extent * scale).
  func times(_ extent: Int) -> Int {
    if let fraction {
      let (product, overflow) = extent.multipliedReportingOverflow(by: fraction.numerator)
      if !overflow && extent >= 0 { return product / fraction.denominator }
    }
    return Casting.clamped((Double(extent) * value).rounded(.down))
  }

  /// The same rounded to nearest, halves up.
  func timesRounded(_ extent: Int) -> Int {
    if let fraction, max(fraction.numerator, fraction.denominator) < 1 << 62 {
      let (product, overflow) = extent.multipliedReportingOverflow(by: 2 * fraction.numerator)
      let (sum, isTooFar) = product.addingReportingOverflow(fraction.denominator)
      if !overflow && !isTooFar && extent >= 0 { return sum / (2 * fraction.denominator) }
    }
    return Casting.clamped((Double(extent) * value + 0.5).rounded(.down))
  }

  /// The fraction of least terms among the numbers nearer to `value` than any other float32; nil for what
  /// is no float32 above 0 or has terms of more than 30 bits.
  ///
  /// By continued fractions: the first at which both ends of the interval have parted.
  private static func simplest(_ value: Double) -> (numerator: Int, denominator: Int)? {
    let single = Float(value)
    guard Double(single) == value, value > 0x1p-30, value < 0x1p30 else { return nil }
    if value == value.rounded() { return (Int(value), 1) }
    var low = (Double(single.nextDown) + value) / 2
    var high = (value + Double(single.nextUp)) / 2
    var (before, last) = ((numerator: 0.0, denominator: 1.0), (numerator: 1.0, denominator: 0.0))
    for _ in 0..<32 {
      let whole = low.rounded(.down)
      let isEnd = whole + 1 <= high || whole == low
      let term = whole == low ? whole : isEnd ? whole + 1 : whole
      let next = (
        numerator: term * last.numerator + before.numerator,
        denominator: term * last.denominator + before.denominator
      )
      guard next.numerator < 0x1p30, next.denominator < 0x1p30 else { return nil }
      if isEnd {
        let isRight = Float(next.numerator / next.denominator) == single
        return isRight ? (Int(next.numerator), Int(next.denominator)) : nil
      }
      (before, last) = (last, next)
      (low, high) = (1 / (high - whole), 1 / (low - whole))
    }
    return nil
  }
}
