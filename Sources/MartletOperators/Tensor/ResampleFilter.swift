import MartletBackends
import MartletCore

/// Which places of an axis make up a point between them, and with what weights.
struct ResampleFilter: Sendable {
  enum Coordinates: String {
    case halfPixel = "half_pixel"
    case halfPixelSymmetric = "half_pixel_symmetric"
    case pytorchHalfPixel = "pytorch_half_pixel"
    case alignCorners = "align_corners"
    case asymmetric
    case tensorFlowCrop = "tf_crop_and_resize"
  }

  private enum Kind {
    case nearest(NearestRule)
    case linear
    case cubic(Double)
  }

  private enum NearestRule: String {
    case preferFloor = "round_prefer_floor"
    case preferCeil = "round_prefer_ceil"
    case floor, ceil
  }

  let coordinates: Coordinates
  private let kind: Kind
  let antialias: Bool
  private let excludesOutside: Bool

  init(_ attributes: Attributes) throws(MartletError) {
    let name = try attributes.string("coordinate_transformation_mode", default: "half_pixel")
    guard let coordinates = Coordinates(rawValue: name) else {
      throw ResampleFilter.unknown("coordinate_transformation_mode", name)
    }
    self.coordinates = coordinates
    antialias = try attributes.bool("antialias", default: false)
    excludesOutside = try attributes.bool("exclude_outside", default: false)
    let mode = try attributes.string("mode", default: "nearest")
    switch mode {
    case "nearest":
      let rule = try attributes.string("nearest_mode", default: "round_prefer_floor")
      guard let rule = NearestRule(rawValue: rule) else {
        throw ResampleFilter.unknown("nearest_mode", rule)
      }
      kind = .nearest(rule)
    case "linear": kind = .linear
    case "cubic": kind = .cubic(Double(try attributes.float("cubic_coeff_a", default: -0.75)))
    default: throw ResampleFilter.unknown("mode", mode)
    }
  }

  private static func unknown(_ attribute: String, _ value: String) -> MartletError {
    MartletError(
      .invalidArgument, "Resize: attribute '\(attribute)' is '\(value)'", operatorName: "Resize",
      input: attribute, expected: Resize.schema.attributes[attribute], actual: value)
  }

  var isNearest: Bool { if case .nearest = kind { true } else { false } }

  /// The place of 0..<extent nearest to the point x by the filter's rule.
  func nearest(to x: ResizePoint, _ extent: Int) -> Int {
    guard case .nearest(let rule) = kind else { return 0 }
    let isUp =
      switch rule {
      case .floor: false
      case .ceil: x.fraction > 0
      case .preferFloor: x.fraction > 0.5
      case .preferCeil: x.fraction >= 0.5
      }
    return min(max(Casting.clamped(isUp ? x.base + 1 : x.base), 0), extent - 1)
  }

  /// Adds to `taps` the places of 0..<extent that make up the point x, the edge repeated beyond; weights
  /// sum to 1.
  func append(_ x: ResizePoint, _ extent: Int, _ scale: Double, to taps: inout ResampleTaps) {
    guard x.base.isFinite else { return taps.endPlace() }
    let stretch = stretch(scale)
    let count = reach(scale)
    let left = Double(1 - count / 2)
    var total = 0.0
    for step in 0..<count {
      let offset = left + Double(step)
      let place = x.base + offset
      let weight = self.weight((offset - x.fraction) * stretch)
      if excludesOutside && (place < 0 || place > Double(extent - 1)) { continue }
      taps.append(min(max(Casting.clamped(place), 0), extent - 1), weight)
      total += weight
    }
    taps.endPlace(dividingBy: (antialias || excludesOutside) && total != 0 ? total : 1)
  }

  /// How many places a point may be made up of: as many to either side, more where the filter widens
  /// because it shrinks.
  func reach(_ scale: Double) -> Int {
    if isNearest { return 1 }
    let support: Double = if case .cubic = kind { 2 } else { 1 }
    return 2 * Int(min((support / stretch(scale)).rounded(.up), 0x1p40))
  }

  private func stretch(_ scale: Double) -> Double { antialias ? min(scale, 1) : 1 }

  private func weight(_ distance: Double) -> Double {
    let x = distance.magnitude
    guard case .cubic(let a) = kind else { return max(0, 1 - x) }
    if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
  }
}
