import MartletBackends
import MartletCore

/// What operators have in common that convolve X [N, C, ...] by W [M, C / group, ...] over one to three
/// spatial axes: attributes, shapes and checks.
struct ConvolutionShape: Sendable {
  static let attributes = SlidingWindow.attributes.merging([
    "group": "Groups that the channels are divided into (1)."
  ]) { first, _ in first }

  private let operatorName: String
  private let window: SlidingWindow
  private let groups: Int
  /// What the operator calls X and W.
  private let names: (x: String, w: String)

  init(_ attributes: Attributes, x: String, w: String) throws(MartletError) {
    operatorName = attributes.operatorName
    names = (x, w)
    window = try SlidingWindow(attributes)
    groups = try attributes.int("group", default: 1)
    guard groups > 0 else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): group is \(groups)",
        operatorName: attributes.operatorName, input: "group", expected: ">= 1",
        actual: "\(groups)")
    }
  }

  func infer(_ x: ValueType?, _ w: ValueType?, _ dtype: DType?) throws(MartletError) -> [ValueType]
  {
    guard let x = x?.shape else { return [.unknown(dtype)] }
    guard let w = w?.shape else {
      return [ValueType(dtype: dtype, shape: Inference.unknownShape(rank: x.count))]
    }
    guard x.count == w.count, x.count >= 3 else {
      throw .shape(
        operatorName, "ranks of \(names.x) and \(names.w)", expected: "equal and at least 3",
        actual: "\(x.count) and \(w.count)")
    }
    let extents = w.dropFirst(2).map { if case .known(let value) = $0 { value } else { 0 } }
    let kernel = window.kernelShape ?? extents
    guard !kernel.contains(0) else {
      return [
        ValueType(
          dtype: dtype, shape: [x[0], w[0]] + Inference.unknownShape(rank: x.count - 2))
      ]
    }
    let output = try window.infer(input: Array(x.dropFirst(2)), kernel: kernel)
    return [ValueType(dtype: dtype, shape: [x[0], w[0]] + output)]
  }

  /// What operands of these shapes come to.
  func resolve(_ x: [Int], _ w: [Int]) throws(MartletError) -> ConvolutionExtents {
    guard x.count == w.count, x.count >= 3 else {
      throw .shape(
        operatorName, "ranks of \(names.x) and \(names.w)", expected: "equal and at least 3",
        actual: "\(x.count) and \(w.count)")
    }
    let (channels, outputs) = (x[1], w[0])
    guard channels % groups == 0, outputs % groups == 0, w[1] == channels / groups else {
      throw .shape(
        operatorName, "\(names.w)'s shape for \(channels) channels in \(groups) groups",
        expected: "[a multiple of \(groups), \(channels / groups), ...]",
        actual: Shape.text(w), input: names.w)
    }
    let kernel = Array(w.dropFirst(2))
    guard (window.kernelShape ?? kernel) == kernel else {
      throw .shape(
        operatorName, "kernel_shape", expected: "\(names.w)'s \(Shape.text(kernel))",
        actual: Shape.text(window.kernelShape ?? []), input: "kernel_shape")
    }
    return try ConvolutionExtents(
      source: x, weights: w, groups: groups,
      try window.resolve(input: Array(x.dropFirst(2)), kernel: kernel))
  }

  /// One value, or one per output channel.
  func perChannel(
    _ tensor: Tensor, _ channels: Int, _ name: String
  ) throws(MartletError) {
    guard tensor.count == 1 || tensor.shape == [channels] else {
      throw .shape(
        operatorName, name, expected: "one element or [\(channels)]",
        actual: Shape.text(tensor.shape), input: name)
    }
  }
}

/// What the shapes of X and W come to.
final class ConvolutionExtents: Sendable {
  let source: [Int]
  let weights: [Int]
  /// Of Y.
  let shape: [Int]
  /// Whether Y has no elements; then products of other extents may not fit.
  let isEmpty: Bool
  let geometry: ConvolutionGeometry

  init(
    source: [Int], weights: [Int], groups: Int, _ window: SlidingWindow.Resolved
  ) throws(MartletError) {
    self.source = source
    self.weights = weights
    shape = [source[0], weights[0]] + window.output
    isEmpty = try Shape.byteCount(shape, .float64) == 0
    geometry = ConvolutionGeometry(source, channels: weights[0], groups: groups, window)
  }
}

extension ConvolutionGeometry {
  /// Of a window over X of shape `source` that gives so many channels.
  init(_ source: [Int], channels: Int, groups: Int, _ window: SlidingWindow.Resolved) {
    self.init(
      batch: source[0], groups: groups, inChannels: source[1], outChannels: channels,
      input: SpatialExtents(Array(source.dropFirst(2)), fill: 1),
      kernel: SpatialExtents(window.kernel, fill: 1),
      output: SpatialExtents(window.output, fill: 1),
      stride: SpatialExtents(window.strides, fill: 1),
      dilation: SpatialExtents(window.dilations, fill: 1),
      padding: SpatialExtents(window.begin, fill: 0))
  }
}
