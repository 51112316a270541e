import MartletBackends
import MartletCore

/// x over the L1 or L2 norm along an axis; a slice of norm 0 stays 0.
/// Source: ONNX LpNormalization-22.
package struct LpNormalization: Operator {
  package static let schema = OperatorSchema.unaryFloat(
    "LpNormalization", attributes: ["axis": "along which, -1", "p": "1 or 2, 2"])
  private let axis: Int
  private let p: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
    p = try node.attributes.int("p", default: 2)
    guard p == 1 || p == 2 else {
      throw MartletError(
        .invalidArgument, "LpNormalization: attribute 'p' must be 1 or 2, got \(p)",
        operatorName: "LpNormalization", input: "p", expected: "1 or 2", actual: "\(p)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let axis = try Shape.normalizedAxis(
      self.axis, rank: input.rank, operatorName: "LpNormalization")
    guard input.count > 0 else {
      return context.deliver(try context.output(0, input.dtype, input.shape))
    }
    let x = try context.converted(input, to: input.dtype.computeType)
    var shape = x.shape
    shape[axis] = 1
    let norm = try context.scratch(x.dtype, shape)
    let workspace = context.workspace
    try Reduction.reduce(
      p == 1 ? .sumOfMagnitudes : .euclidean, x, axes: [axis], into: norm, workspace)
    let isZero = try context.scratch(.bool, shape)
    let (zero, one) = (try context.scalar(0, x.dtype), try context.scalar(1, x.dtype))
    try Elementwise.compare(.equal, norm, zero, into: isZero, workspace)
    let divisor = try context.scratch(x.dtype, shape)
    try Elementwise.select(isZero, one, norm, into: divisor, workspace)
    let result =
      x.dtype == input.dtype
      ? try context.output(0, x.dtype, x.shape) : try context.scratch(x.dtype, x.shape)
    try Elementwise.binary(.div, x, divisor, into: result, workspace)
    context.deliver(try context.finish(result, as: input.dtype))
  }
}

/// (X - mean) / (standard deviation + 1e-9) over the listed axes.
/// Source: ONNX MeanVarianceNormalization-13.
package struct MeanVarianceNormalization: Operator {
  package static let schema = OperatorSchema.unaryFloat(
    "MeanVarianceNormalization", attributes: ["axes": "normalised together, [0, 2, 3]"])
  private let axes: [Int]

  package init(_ node: OperatorNode) throws(MartletError) {
    axes = try node.attributes.optionalInts("axes") ?? [0, 2, 3]
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let axes = try Axes.normalized(
      self.axes, rank: input.rank, operatorName: "MeanVarianceNormalization")
    guard input.count > 0 else {
      return context.deliver(try context.output(0, input.dtype, input.shape))
    }
    let x = try context.converted(input, to: input.dtype.computeType)
    let shape = x.shape.indices.map { axes.contains($0) ? 1 : x.shape[$0] }
    let workspace = context.workspace
    let statistic = try context.scratch(x.dtype, shape)
    try Reduction.reduce(.mean, x, axes: axes, into: statistic, workspace)
    let result =
      x.dtype == input.dtype
      ? try context.output(0, x.dtype, x.shape) : try context.scratch(x.dtype, x.shape)
    try Elementwise.binary(.sub, x, statistic, into: result, workspace)
    let squares = try context.scratch(x.dtype, x.shape)
    try Elementwise.binary(.mul, result, result, into: squares, workspace)
    try Reduction.reduce(.mean, squares, axes: axes, into: statistic, workspace)
    try Elementwise.unary(.sqrt, statistic, into: statistic, workspace)
    try Elementwise.unary(.affine(scale: 1, offset: 1e-9), statistic, into: statistic, workspace)
    try Elementwise.binary(.div, result, statistic, into: result, workspace)
    context.deliver(try context.finish(result, as: input.dtype))
  }
}

/// X / (bias + alpha/size * sum of squares over `size` neighbouring channels)^beta.
/// Source: ONNX LRN-13.
package struct LRN: Operator {
  package static let schema = OperatorSchema.unaryFloat(
    "LRN",
    attributes: [
      "alpha": "1e-4", "beta": "0.75", "bias": "1", "size": "number of channels, required",
    ])
  private let alpha: Float
  private let beta: Float
  private let bias: Float
  private let size: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    alpha = try node.attributes.float("alpha", default: 1e-4)
    beta = try node.attributes.float("beta", default: 0.75)
    bias = try node.attributes.float("bias", default: 1)
    size = try node.attributes.int("size", default: 0)
    guard size > 0 else {
      throw MartletError(
        .invalidArgument, "LRN: attribute 'size' must be positive, got \(size)",
        operatorName: "LRN", input: "size", expected: ">= 1", actual: "\(size)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    guard input.rank >= 2 else {
      throw .shape(
        "LRN", "the input has no channel axis", expected: "[N, C, ...]",
        actual: Shape.text(input.shape), input: "X")
    }
    guard input.count > 0 else {
      return context.deliver(try context.output(0, input.dtype, input.shape))
    }
    let x = try context.converted(input, to: input.dtype.computeType)
    let workspace = context.workspace
    let channels = x.shape[1]
    let squares = try context.scratch(x.dtype, x.shape)
    try Elementwise.binary(.mul, x, x, into: squares, workspace)
    let sums = try context.scratch(x.dtype, x.shape)
    Copying.zero(sums)
    // Channel c takes c - (size-1)/2 ... c + size/2: shifted channels are added one shift at a time.
    for shift in max(-((size - 1) / 2), -channels)...min(size / 2, channels) {
      let count = channels - abs(shift)
      guard count > 0 else { continue }
      let target = sums.sliced(axis: 1, start: max(0, -shift), count: count, step: 1)
      let source = squares.sliced(axis: 1, start: max(0, shift), count: count, step: 1)
      try Elementwise.binary(.add, target, source, into: target, workspace)
    }
    try Elementwise.unary(
      .affine(scale: alpha / Float(size), offset: bias), sums, into: sums, workspace)
    let exponent = try context.scalar(Double(beta), x.dtype)
    try Elementwise.binary(.pow, sums, exponent, into: sums, workspace)
    let result =
      x.dtype == input.dtype
      ? try context.output(0, x.dtype, x.shape) : try context.scratch(x.dtype, x.shape)
    try Elementwise.binary(.div, x, sums, into: result, workspace)
    context.deliver(try context.finish(result, as: input.dtype))
  }
}

/// 1 at the first greatest element along an axis, 0 elsewhere. Source: ONNX Hardmax-13.
package struct Hardmax: Operator {
  package static let schema = OperatorSchema.unaryFloat(
    "Hardmax", attributes: ["axis": "along which, -1"])
  private let axis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let axis = try Shape.normalizedAxis(self.axis, rank: input.rank, operatorName: "Hardmax")
    let output = try context.output(0, input.dtype, input.shape)
    Copying.zero(output)
    guard output.count > 0 else { return context.deliver(output) }
    let x = try context.contiguous(try context.converted(input, to: input.dtype.computeType))
    let (outer, extent) = (x.shape[..<axis].reduce(1, *), x.shape[axis])
    let inner = x.shape[(axis + 1)...].reduce(1, *)
    let winners = try context.scratch(.int64, [outer, inner])
    Selecting.extreme(
      x, outer: outer, extent: extent, inner: inner, greatest: true, takesLast: false,
      into: winners, context.workspace)
    try context.checkRoom(winners.count, "Hardmax")
    let offsets = SmallTensors.integers(winners).enumerated().map { position, index in
      (position / inner * extent + index) * inner + position % inner
    }
    let one = try context.scalar(1, output.dtype).broadcast(to: [offsets.count])
    Scattering.slices(
      try context.contiguous(one), toOffsets: offsets, slice: 1, .replace, into: output)
    context.deliver(output)
  }
}

extension OperatorSchema {
  /// One float input, one output.
  static func unaryFloat(_ name: String, attributes: [String: String]) -> OperatorSchema {
    OperatorSchema(name: name, inputs: ["input"], attributes: attributes)
  }
}
