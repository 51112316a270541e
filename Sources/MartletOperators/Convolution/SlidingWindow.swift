import MartletBackends
import MartletCore

/// A window that slides over one to three spatial axes: the attributes that convolutions and poolings
/// share, and what they come to for given extents.
struct SlidingWindow: Sendable {
  enum AutoPad: Sendable {
    case explicit, valid, sameUpper, sameLower
  }

  static let attributes = [
    "auto_pad": "NOTSET (pads are given), VALID, SAME_UPPER or SAME_LOWER.",
    "dilations": "Steps between taps along each spatial axis (1).",
    "kernel_shape": "Extents of the window along each spatial axis.",
    "pads": "Padding before each spatial axis, then after each (0).",
    "strides": "Steps of the window along each spatial axis (1).",
  ]

  let operatorName: String
  let autoPad: AutoPad
  let kernelShape: [Int]?
  private let strides: [Int]?
  private let dilations: [Int]?
  private let pads: [Int]?
  private let roundsUp: Bool
  /// No extent, step or padding exceeds this, so that window arithmetic cannot overflow.
  private static let limit = 1 << 30
  /// No extent of an input exceeds this: sums of it, a reach and paddings stay in range.
  private static let longest = Int.max / 4

  init(_ attributes: Attributes, roundsUp: Bool = false) throws(MartletError) {
    operatorName = attributes.operatorName
    self.roundsUp = roundsUp
    switch try attributes.string("auto_pad", default: "NOTSET") {
    case "", "NOTSET": autoPad = .explicit
    case "VALID": autoPad = .valid
    case "SAME_UPPER": autoPad = .sameUpper
    case "SAME_LOWER": autoPad = .sameLower
    case let other:
      throw MartletError(
        .invalidArgument, "\(operatorName): unknown auto_pad '\(other)'",
        operatorName: operatorName, input: "auto_pad",
        expected: "NOTSET, VALID, SAME_UPPER or SAME_LOWER", actual: other)
    }
    kernelShape = try Self.list(attributes, "kernel_shape", atLeast: 1)
    strides = try Self.list(attributes, "strides", atLeast: 1)
    dilations = try Self.list(attributes, "dilations", atLeast: 1)
    pads = try Self.list(attributes, "pads", atLeast: 0)
  }

  /// A list of numbers from `least` on.
  static func list(
    _ attributes: Attributes, _ name: String, atLeast least: Int
  ) throws(MartletError) -> [Int]? {
    guard let values = try attributes.optionalInts(name) else { return nil }
    guard values.allSatisfy({ (least...limit).contains($0) }) else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): \(name) \(Shape.text(values))",
        operatorName: attributes.operatorName, input: name, expected: "values from \(least) on",
        actual: Shape.text(values))
    }
    return values
  }

  /// The window over given extents; every array has one entry per spatial axis.
  struct Resolved {
    var kernel: [Int]
    var strides: [Int]
    var dilations: [Int]
    var begin: [Int]
    var end: [Int]
    var output: [Int]
  }

  /// - Throws: where attributes do not fit the rank, or the window does not fit the input.
  func resolve(input: [Int], kernel: [Int]) throws(MartletError) -> Resolved {
    var result = try unresolved(rank: input.count, kernel: kernel)
    for axis in input.indices {
      let (output, begin, end) = try place(axis, input[axis], result)
      result.output.append(output)
      result.begin[axis] = begin
      result.end[axis] = end
    }
    return result
  }

  /// Output dimensions as far as the input's are known.
  func infer(input: [Dimension], kernel: [Int]) throws(MartletError) -> [Dimension] {
    let window = try unresolved(rank: input.count, kernel: kernel)
    var output: [Dimension] = []
    for (axis, dimension) in input.enumerated() {
      if case .known(let extent) = dimension {
        output.append(.known(try place(axis, extent, window).output))
        continue
      }
      output.append(extent(dimension, axis, window))
    }
    return output
  }

  /// What `place` comes to for an extent that is no number.
  private func extent(_ input: Dimension, _ axis: Int, _ window: Resolved) -> Dimension {
    let stride = window.strides[axis]
    if autoPad == .sameUpper || autoPad == .sameLower {
      return Inference.dividedUp(input, by: stride)
    }
    // Whether a partial window counts depends on where it starts.
    if roundsUp && stride > 1 { return .unknown }
    let (reach, overflow) = (window.kernel[axis] - 1)
      .multipliedReportingOverflow(by: window.dilations[axis])
    guard !overflow else { return .unknown }
    let room = Inference.plus(input, .known(window.begin[axis] + window.end[axis] - reach - 1))
    return Inference.plus(Inference.divided(room, by: stride), .known(1))
  }

  /// The window before it is placed: pads as they are given, no output extents.
  func unresolved(rank: Int, kernel: [Int]) throws(MartletError) -> Resolved {
    guard (1...3).contains(rank) else {
      throw MartletError(
        .unsupported, "\(operatorName): \(rank) spatial axes", operatorName: operatorName,
        expected: "1 to 3 spatial axes", actual: "\(rank)")
    }
    for (name, values, count) in [
      ("kernel_shape", kernel, rank), ("strides", strides ?? [], rank),
      ("dilations", dilations ?? [], rank), ("pads", pads ?? [], 2 * rank),
    ] where !values.isEmpty || name == "kernel_shape" {
      guard values.count == count else {
        throw MartletError(
          .invalidArgument,
          "\(operatorName): \(name) has \(values.count) values for \(rank) spatial axes",
          operatorName: operatorName, input: name, expected: "\(count) values",
          actual: "\(values.count)")
      }
    }
    guard kernel.allSatisfy({ (1...SlidingWindow.limit).contains($0) }) else {
      throw .shape(
        operatorName, "the window is empty", expected: "extents >= 1", actual: Shape.text(kernel))
    }
    _ = try Shape.elementCount(kernel)
    let ones = [Int](repeating: 1, count: rank)
    let zeros = [Int](repeating: 0, count: rank)
    let usesPads = autoPad == .explicit
    return Resolved(
      kernel: kernel, strides: strides?.isEmpty == false ? strides ?? ones : ones,
      dilations: dilations?.isEmpty == false ? dilations ?? ones : ones,
      begin: usesPads ? pads.flatMap { $0.isEmpty ? nil : Array($0[..<rank]) } ?? zeros : zeros,
      end: usesPads ? pads.flatMap { $0.isEmpty ? nil : Array($0[rank...]) } ?? zeros : zeros,
      output: [])
  }

  private func place(
    _ axis: Int, _ extent: Int, _ window: Resolved
  ) throws(MartletError) -> (output: Int, begin: Int, end: Int) {
    let stride = window.strides[axis]
    let reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
    guard extent <= SlidingWindow.longest else {
      throw .shape(
        operatorName, "the input is too long along spatial axis \(axis)",
        expected: "at most \(SlidingWindow.longest)", actual: "\(extent)")
    }
    var begin = window.begin[axis]
    var end = window.end[axis]
    if autoPad == .sameUpper || autoPad == .sameLower {
      let output = (extent + stride - 1) / stride
      let total = max((output - 1) * stride + reach - extent, 0)
      begin = autoPad == .sameUpper ? total / 2 : total - total / 2
      end = total - begin
      return (output, begin, end)
    }
    let room = extent + begin + end - reach
    guard room >= 0 else {
      throw .shape(
        operatorName, "the window exceeds the padded input along spatial axis \(axis)",
        expected: "at most \(extent + begin + end)", actual: "\(reach)")
    }
    var output = room / stride + 1
    // A window that would start in the trailing padding is left out.
    if roundsUp, room % stride != 0, output * stride < extent + begin { output += 1 }
    return (output, begin, end)
  }
}
