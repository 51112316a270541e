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

  /// The places of 0..<extent that make up the point x, the edge repeated beyond; weights sum to 1.
  func taps(at x: Double, _ extent: Int, _ scale: Double) -> [(index: Int, weight: Double)] {
    guard extent > 0, x.isFinite else { return [] }
    if case .nearest(let rule) = kind {
      let floor = x.rounded(.down)
      let place: Double =
        switch rule {
        case .floor: floor
        case .ceil: x.rounded(.up)
        case .preferFloor: x - floor <= 0.5 ? floor : floor + 1
        case .preferCeil: x - floor < 0.5 ? floor : floor + 1
        }
      return [(min(max(Casting.clamped(place), 0), extent - 1), 1)]
    }
    let stretch = stretch(scale)
    let base = x.rounded(.down)
    let count = reach(scale)
    let left = Double(1 - count / 2)
    var taps: [(index: Int, weight: Double)] = []
    var total = 0.0
    for step in 0..<count {
      let place = base + left + Double(step)
      let weight = self.weight((place - x) * stretch)
      if weight == 0 || (excludesOutside && (place < 0 || place > Double(extent - 1))) { continue }
      taps.append((min(max(Casting.clamped(place), 0), extent - 1), weight))
      total += weight
    }
    if (antialias || excludesOutside) && total != 0 {
      for index in taps.indices { taps[index].weight /= total }
    }
    return taps
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
