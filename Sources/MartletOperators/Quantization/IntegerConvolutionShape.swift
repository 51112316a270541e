import MartletBackends
import MartletCore

/// What ConvInteger and QLinearConv have in common: attributes, shapes and checks of convolutions of
/// X [N, C, ...] by W [M, C / group, ...] over one to three spatial axes.
struct IntegerConvolutionShape: Sendable {
  static let attributes = SlidingWindow.attributes.merging([
    "group": "Groups that the channels are divided into (1)."
  ]) { first, _ in first }

  private let operatorName: String
  private let window: SlidingWindow
  private let groups: Int

  init(_ attributes: Attributes) throws(MartletError) {
    operatorName = attributes.operatorName
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
        operatorName, "ranks of x and w", expected: "equal and at least 3",
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

  /// The output's shape and the window on these operands.
  func resolve(
    _ x: Tensor, _ w: Tensor
  ) throws(MartletError) -> (shape: [Int], window: SlidingWindow.Resolved) {
    guard x.rank == w.rank, x.rank >= 3 else {
      throw .shape(
        operatorName, "ranks of x and w", expected: "equal and at least 3",
        actual: "\(x.rank) and \(w.rank)")
    }
    guard x.shape[1] % groups == 0, w.shape[0] % groups == 0, w.shape[1] == x.shape[1] / groups
    else {
      throw .shape(
        operatorName, "w's shape for \(x.shape[1]) channels in \(groups) groups",
        expected: "[a multiple of \(groups), \(x.shape[1] / groups), ...]",
        actual: Shape.text(w.shape), input: "w")
    }
    let kernel = Array(w.shape.dropFirst(2))
    guard (window.kernelShape ?? kernel) == kernel else {
      throw .shape(
        operatorName, "kernel_shape", expected: "w's \(Shape.text(kernel))",
        actual: Shape.text(window.kernelShape ?? []), input: "kernel_shape")
    }
    let resolved = try window.resolve(input: Array(x.shape.dropFirst(2)), kernel: kernel)
    let shape = [x.shape[0], w.shape[0]] + resolved.output
    _ = try Shape.byteCount(shape, .float64)
    return (shape, resolved)
  }

  /// The convolution of contiguous operands.
  func problem(
    _ x: Tensor, _ w: Tensor, into dst: Tensor, _ resolved: SlidingWindow.Resolved
  ) -> IntegerConvolution {
    var problem = IntegerConvolution(
      batch: x.shape[0], groups: groups, inChannels: x.shape[1], outChannels: w.shape[0],
      input: SpatialExtents(Array(x.shape.dropFirst(2)), fill: 1),
      kernel: SpatialExtents(resolved.kernel, fill: 1),
      output: SpatialExtents(resolved.output, fill: 1), src: x, weights: w, dst: dst)
    problem.stride = SpatialExtents(resolved.strides, fill: 1)
    problem.dilation = SpatialExtents(resolved.dilations, fill: 1)
    problem.padding = SpatialExtents(resolved.begin, fill: 0)
    return problem
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
