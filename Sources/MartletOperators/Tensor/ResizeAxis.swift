import MartletBackends
import MartletCore

/// One axis of a resize.
struct ResizeAxis {
  let axis: Int
  let extent: Int
  let size: Int
  let scale: ResizeScale
  let roi: (start: Double, end: Double)
  let coordinates: ResampleFilter.Coordinates
  private let line: ResizeLine?

  init(
    axis: Int, extent: Int, size: Int, scale: ResizeScale, roi: (start: Double, end: Double),
    coordinates: ResampleFilter.Coordinates
  ) {
    (self.axis, self.extent, self.size, self.scale) = (axis, extent, size, scale)
    (self.roi, self.coordinates) = (roi, coordinates)
    line = ResizeLine(extent: extent, size: size, scale, coordinates)
  }

  var isIdentity: Bool {
    extent == size && scale.value == 1 && (coordinates != .tensorFlowCrop || roi == (0, 1))
  }

  /// Where place `place` of the result lies on the input's axis.
  private func origin(_ place: Int) -> ResizePoint {
    line?.point(place) ?? ResizePoint(nearly(place))
  }

  /// The same rounded: of crops, and where a fraction's terms are too large.
  private func nearly(_ place: Int) -> Double {
    let x = Double(place)
    let scale = scale.value
    let length = scale * Double(extent)
    switch coordinates {
    case .asymmetric: return x / scale
    case .alignCorners: return length == 1 ? 0 : x * Double(extent - 1) / (length - 1)
    case .pytorchHalfPixel: return length == 1 ? -0.5 : (x + 0.5) / scale - 0.5
    case .halfPixel: return (x + 0.5) / scale - 0.5
    case .halfPixelSymmetric:
      let offset = Double(extent) / 2 * (1 - Double(size) / length)
      return offset + (x + 0.5) / scale - 0.5
    case .tensorFlowCrop:
      let span = (roi.end - roi.start) * Double(extent - 1)
      let start = roi.start * Double(extent - 1)
      return start + (length == 1 ? span / 2 : x * span / (length - 1))
    }
  }

  func isOutside(_ place: Int) -> Bool {
    let x = origin(place)
    return !(x.base >= 0 && x.base + x.fraction <= Double(extent - 1))
  }

  /// The places of the input that are nearest to those of the result.
  func places(_ filter: ResampleFilter) -> [Int] {
    (0..<size).map { filter.nearest(to: origin($0), extent) }
  }

  func taps(_ filter: ResampleFilter) -> ResampleTaps {
    var taps = ResampleTaps(places: size, reach: filter.reach(scale.value))
    for place in 0..<size { filter.append(origin(place), extent, scale.value, to: &taps) }
    return taps
  }
}

/// A point of an axis: the whole number below it, and what is above that, 0 and 1/2 being exact.
struct ResizePoint {
  let base: Double
  let fraction: Double

  init(base: Double, fraction: Double) { (self.base, self.fraction) = (base, fraction) }

  init(_ x: Double) {
    base = x.rounded(.down)
    fraction = x - base
  }
}

/// Where the places of a result lie on the input's axis, exactly: place i at (slope i + start) / divisor.
private struct ResizeLine {
  private let slope: Int
  private let start: Int
  private let divisor: Int

  /// Nil where the scale is no fraction, for crops, and where the terms are too large.
  init?(
    extent: Int, size: Int, _ scale: ResizeScale, _ coordinates: ResampleFilter.Coordinates
  ) {
    guard let (p, q) = scale.fraction, max(p, q) < 1 << 30, max(extent, size) < 1 << 30 else {
      return nil
    }
    let (length, overflow) = p.multipliedReportingOverflow(by: extent)  // times q
    guard !overflow else { return nil }
    switch coordinates {
    case .asymmetric: (slope, start, divisor) = (q, 0, p)
    case .alignCorners:
      let isPoint = length <= q
      (slope, start, divisor) = isPoint ? (0, 0, 1) : ((extent - 1) * q, 0, length - q)
    case .pytorchHalfPixel where length == q: (slope, start, divisor) = (0, -1, 2)
    case .halfPixel, .pytorchHalfPixel: (slope, start, divisor) = (2 * q, q - p, 2 * p)
    case .halfPixelSymmetric:
      (slope, start, divisor) = (2 * q, q - p + length - size * q, 2 * p)
    case .tensorFlowCrop: return nil
    }
    let (last, isTooFar) = slope.multipliedReportingOverflow(by: size)
    guard !isTooFar, last.magnitude < 1 << 61, start.magnitude < 1 << 61 else { return nil }
  }

  func point(_ place: Int) -> ResizePoint {
    let (quotient, remainder) = (slope * place + start).quotientAndRemainder(dividingBy: divisor)
    // Rounded towards 0: down instead.
    let isBelow = remainder < 0
    return ResizePoint(
      base: Double(isBelow ? quotient - 1 : quotient),
      fraction: Double(isBelow ? remainder + divisor : remainder) / Double(divisor))
  }
}
