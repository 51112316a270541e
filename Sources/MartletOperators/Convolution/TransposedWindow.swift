import MartletBackends
import MartletCore

/// The window of a transposed convolution: what its attributes come to for given extents.
///
/// Without an output_shape an axis has `stride * (extent - 1) + output_padding + reach - pads` elements,
/// reach being `(kernel - 1) * dilation + 1`; under SAME_UPPER and SAME_LOWER `extent * stride`. An
/// extent that is given that way is reached by pads of its own: the leading ones are the smaller half
/// under SAME_UPPER and the larger half otherwise; where more is asked for than there is, nothing falls
/// on the elements at the end. An output_padding is less than the axis's stride or dilation.
/// Source: ONNX ConvTranspose-22.
struct TransposedWindow: Sendable {
  static let attributes = SlidingWindow.attributes.merging([
    "output_padding": "Elements added at the end of each spatial axis of Y (0).",
    "output_shape": "Extents of Y's spatial axes; pads follow from them.",
  ]) { first, _ in first }

  let window: SlidingWindow
  private let outputPadding: [Int]?
  private let outputShape: [Int]?
  private var name: String { window.operatorName }

  init(_ attributes: Attributes) throws(MartletError) {
    window = try SlidingWindow(attributes)
    outputPadding = try SlidingWindow.list(attributes, "output_padding", atLeast: 0)
    outputShape = try SlidingWindow.list(attributes, "output_shape", atLeast: 0)
  }

  /// - Throws: where attributes do not fit the rank, or pads leave nothing of an axis.
  func resolve(input: [Int], kernel: [Int]) throws(MartletError) -> SlidingWindow.Resolved {
    var result = try unresolved(rank: input.count, kernel: kernel)
    for axis in input.indices {
      let (output, begin) = try place(axis, input[axis], result)
      result.output.append(output)
      result.begin[axis] = begin
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
      } else if let extent = given(axis) {
        output.append(.known(extent))
      } else {
        let scaled = Inference.times(dimension, .known(window.strides[axis]))
        output.append(
          isSame ? scaled : Inference.plus(scaled, .known(constantPart(axis, window))))
      }
    }
    return output
  }

  private var isSame: Bool { window.autoPad == .sameUpper || window.autoPad == .sameLower }

  private func given(_ axis: Int) -> Int? {
    outputShape.flatMap { $0.isEmpty ? nil : $0[axis] }
  }

  /// What an output extent adds to `extent * stride`. No term exceeds 2^60 by more than 2^32.
  private func constantPart(_ axis: Int, _ window: SlidingWindow.Resolved) -> Int {
    let reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
    let added = outputPadding.flatMap { $0.isEmpty ? nil : $0[axis] } ?? 0
    return reach + added - window.strides[axis] - window.begin[axis] - window.end[axis]
  }

  private func unresolved(
    rank: Int, kernel: [Int]
  ) throws(MartletError) -> SlidingWindow.Resolved {
    let result = try window.unresolved(rank: rank, kernel: kernel)
    for (attribute, values) in [("output_padding", outputPadding), ("output_shape", outputShape)] {
      guard let values, !values.isEmpty, values.count != rank else { continue }
      throw MartletError(
        .invalidArgument,
        "\(name): \(attribute) has \(values.count) values for \(rank) spatial axes",
        operatorName: name, input: attribute, expected: "\(rank) values",
        actual: "\(values.count)")
    }
    for (axis, added) in (outputPadding ?? []).enumerated() {
      let limit = max(result.strides[axis], result.dilations[axis])
      guard added >= limit else { continue }
      throw MartletError(
        .invalidArgument, "\(name): output_padding is \(added) along spatial axis \(axis)",
        operatorName: name, input: "output_padding",
        expected: "less than stride or dilation, \(limit)", actual: "\(added)")
    }
    return result
  }

  private func place(
    _ axis: Int, _ extent: Int, _ window: SlidingWindow.Resolved
  ) throws(MartletError) -> (output: Int, begin: Int) {
    let (scaled, overflows) = extent.multipliedReportingOverflow(by: window.strides[axis])
    let (natural, overflowsToo) = scaled.addingReportingOverflow(constantPart(axis, window))
    // Room for the pads, which are added back below.
    guard !overflows, !overflowsToo, natural < Int.max / 4 else {
      throw .shape(
        name, "Y along spatial axis \(axis)", expected: "an extent below 2^61",
        actual: "\(extent) pixels at stride \(window.strides[axis])", input: "X")
    }
    guard let output = given(axis) ?? (isSame ? scaled : nil) else {
      guard natural >= 0 else {
        throw .shape(
          name, "pads along spatial axis \(axis)",
          expected: "at most \(natural + window.begin[axis] + window.end[axis])",
          actual: "\(window.begin[axis] + window.end[axis])", input: "pads")
      }
      return (natural, window.begin[axis])
    }
    // Pads that are given do not count here.
    let whole = natural + window.begin[axis] + window.end[axis]
    let total = max(0, whole - output)
    return (output, self.window.autoPad == .sameUpper ? total / 2 : total - total / 2)
  }
}
