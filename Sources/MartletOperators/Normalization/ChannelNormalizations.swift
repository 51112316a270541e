import MartletBackends
import MartletCore

/// scale * (X - mean) / sqrt(var + epsilon) + B per channel (axis 1), as one factor and one summand
/// per channel. With `training_mode` the statistics are the batch's own, and the running ones come
/// out too. Source: ONNX BatchNormalization-15.
package struct BatchNormalization: Operator {
  package static let schema = OperatorSchema(
    name: "BatchNormalization", inputs: ["X", "scale", "B", "input_mean", "input_var"],
    outputs: ["Y", "running_mean", "running_var"],
    attributes: [
      "epsilon": "added to the variance, 1e-5", "momentum": "of the running statistics, 0.9",
      "training_mode": "whether to use the batch's own statistics, 0",
    ])
  private let epsilon: Float
  private let momentum: Float
  private let isTraining: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    epsilon = try node.attributes.float("epsilon", default: 1e-5)
    momentum = try node.attributes.float("momentum", default: 0.9)
    isTraining = try node.attributes.bool("training_mode", default: false)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let x = inputs.type(0)
    let output = ValueType(dtype: x?.dtype, shape: x?.shape)
    guard isTraining else { return [output] }
    // As the inputs, but for what is known of their elements.
    return [output]
      + [inputs.type(3), inputs.type(4)].map {
        ValueType(dtype: $0?.dtype ?? x?.dtype, shape: $0?.shape)
      }
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let channels = try ChannelPlanes(inputs, "BatchNormalization", context)
    let scale = try channels.parameter(1, inputs, context)
    let bias = try channels.parameter(2, inputs, context)
    var mean = try channels.parameter(3, inputs, context)
    var variance = try channels.parameter(4, inputs, context)
    var running: [Tensor] = []
    let workspace = context.workspace
    if isTraining {
      let (batchMean, batchVariance) = try statistics(channels, context)
      for (index, (old, new)) in [(mean, batchMean), (variance, batchVariance)].enumerated() {
        let type = try inputs.required(index + 3).dtype
        let mixed =
          type == old.dtype
          ? try context.output(index + 1, type, old.shape)
          : try context.scratch(old.dtype, old.shape)
        let rest = try context.scratch(old.dtype, old.shape)
        try Elementwise.unary(.affine(scale: momentum, offset: 0), old, into: mixed, workspace)
        try Elementwise.unary(.affine(scale: 1 - momentum, offset: 0), new, into: rest, workspace)
        try Elementwise.binary(.add, mixed, rest, into: mixed, workspace)
        running.append(try context.finish(mixed, as: type, output: index + 1))
      }
      (mean, variance) = (batchMean, batchVariance)
    }
    // factor = scale / sqrt(variance + epsilon); summand = B - mean * factor.
    let factor = try context.scratch(channels.source.dtype, [channels.count])
    let summand = try context.scratch(channels.source.dtype, [channels.count])
    try Elementwise.unary(.affine(scale: 1, offset: epsilon), variance, into: factor, workspace)
    try Elementwise.unary(.sqrt, factor, into: factor, workspace)
    try Elementwise.binary(.div, scale, factor, into: factor, workspace)
    try Elementwise.binary(.mul, mean, factor, into: summand, workspace)
    try Elementwise.binary(.sub, bias, summand, into: summand, workspace)
    let result = try channels.result(context)
    try channels.apply(factor, summand, to: channels.source, into: result, context)
    context.deliver([try context.finish(result, as: channels.dtype)] + running)
  }

  /// Mean and variance over all axes but the channels.
  private func statistics(_ channels: ChannelPlanes, _ context: RunContext) throws(MartletError)
    -> (Tensor, Tensor)
  {
    let x = channels.source
    let axes = Set(0..<x.rank).subtracting([1])
    let mean = try context.scratch(x.dtype, [channels.count])
    let variance = try context.scratch(x.dtype, [channels.count])
    try Reduction.reduce(.mean, x, axes: axes, into: mean, context.workspace)
    let centred = try context.scratch(x.dtype, x.shape)
    let shape = x.shape.indices.map { $0 == 1 ? channels.count : 1 }
    try Elementwise.binary(.sub, x, try mean.reshaped(shape), into: centred, context.workspace)
    try Elementwise.binary(.mul, centred, centred, into: centred, context.workspace)
    try Reduction.reduce(.mean, centred, axes: axes, into: variance, context.workspace)
    return (mean, variance)
  }
}

/// Each channel of each image normalised by its own mean and variance, then scaled and shifted.
/// Source: ONNX InstanceNormalization-22.
package struct InstanceNormalization: Operator {
  package static let schema = OperatorSchema(
    name: "InstanceNormalization", inputs: ["input", "scale", "B"],
    attributes: ["epsilon": "added to the variance, 1e-5"])
  private let epsilon: Float

  package init(_ node: OperatorNode) throws(MartletError) {
    epsilon = try node.attributes.float("epsilon", default: 1e-5)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let channels = try ChannelPlanes(inputs, "InstanceNormalization", context)
    context.deliver(
      try channels.normalized(
        groups: channels.count, scale: try channels.parameter(1, inputs, context),
        bias: try channels.parameter(2, inputs, context), epsilon: epsilon, context))
  }
}

/// Groups of channels of each image normalised by their own mean and variance, then scaled and
/// shifted per channel. Source: ONNX GroupNormalization-21.
package struct GroupNormalization: Operator {
  package static let schema = OperatorSchema(
    name: "GroupNormalization", inputs: ["X", "scale", "bias"], outputs: ["Y"],
    attributes: [
      "epsilon": "added to the variance, 1e-5", "num_groups": "number of groups, required",
      "stash_type": "always float32",
    ])
  private let epsilon: Float
  private let groups: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    epsilon = try node.attributes.float("epsilon", default: 1e-5)
    groups = try node.attributes.int("num_groups", default: 0)
    guard groups > 0 else {
      throw MartletError(
        .invalidArgument, "GroupNormalization: attribute 'num_groups' must be positive",
        operatorName: "GroupNormalization", input: "num_groups", expected: ">= 1",
        actual: "\(groups)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let channels = try ChannelPlanes(inputs, "GroupNormalization", context)
    guard channels.count % groups == 0 else {
      throw .shape(
        "GroupNormalization", "the channels do not divide into groups",
        expected: "a multiple of \(groups)", actual: "\(channels.count) channels", input: "X")
    }
    context.deliver(
      try channels.normalized(
        groups: groups, scale: try channels.parameter(1, inputs, context),
        bias: try channels.parameter(2, inputs, context), epsilon: epsilon, context))
  }
}

/// An input [N, C, …] as contiguous planes in the type of computation.
private struct ChannelPlanes {
  let dtype: DType
  let source: Tensor
  /// C.
  let count: Int
  /// Elements of a plane.
  let planeSize: Int
  private let name: String

  init(_ inputs: Inputs, _ name: String, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    // A batch of numbers, [N], counts as one channel: as ONNX Runtime takes it.
    guard x.rank >= 1 else {
      throw .shape(
        name, "\(inputs.name(0)) has no channel axis", expected: "[N, C, ...]",
        actual: Shape.text(x.shape), input: inputs.name(0))
    }
    dtype = x.dtype
    source = try context.contiguous(try context.converted(x, to: x.dtype.computeType))
    count = x.rank > 1 ? x.shape[1] : 1
    planeSize = x.shape.dropFirst(2).reduce(1, *)
    self.name = name
  }

  /// The vector of one number per channel at input `index`.
  func parameter(_ index: Int, _ inputs: Inputs, _ context: RunContext) throws(MartletError)
    -> Tensor
  {
    let vector = try inputs.required(index, \.isFloatingPoint, "a floating-point type")
    guard vector.shape == [count] else {
      throw .shape(
        name, "\(inputs.name(index)) does not fit the channels", expected: "[\(count)]",
        actual: Shape.text(vector.shape), input: inputs.name(index))
    }
    return try context.contiguous(try context.converted(vector, to: source.dtype))
  }

  func result(_ context: RunContext) throws(MartletError) -> Tensor {
    source.dtype == dtype
      ? try context.output(0, dtype, source.shape)
      : try context.scratch(source.dtype, source.shape)
  }

  /// factor * x + summand per channel, rounded after the product and after the sum.
  func apply(
    _ factor: Tensor, _ summand: Tensor, to x: Tensor, into result: Tensor, _ context: RunContext
  ) throws(MartletError) {
    if planeSize >= 16 || source.rank < 2 {
      RowFunctions.affinePlanes(
        x, planeSize, scale: factor, offset: summand, into: result, context.workspace)
      return
    }
    // Short planes: whole rows of channels at once, with the same two roundings.
    let shape = source.shape.indices.map { $0 == 1 ? count : 1 }
    let (a, b) = (try factor.reshaped(shape), try summand.reshaped(shape))
    try Elementwise.binary(.mul, x, a, into: result, context.workspace)
    try Elementwise.binary(.add, result, b, into: result, context.workspace)
  }

  /// Groups of consecutive channels normalised, then scaled and shifted per channel.
  func normalized(
    groups: Int, scale: Tensor, bias: Tensor, epsilon: Float, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let result = try self.result(context)
    guard source.count > 0 else { return try context.finish(result, as: dtype) }
    RowFunctions.layerNorm(
      source, count / groups * planeSize, scale: nil, bias: nil, epsilon: epsilon, into: result,
      context.workspace)
    try apply(scale, bias, to: result, into: result, context)
    return try context.finish(result, as: dtype)
  }
}
