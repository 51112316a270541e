import MartletBackends
import MartletCore

/// (X - mean) / sqrt(variance + epsilon) * Scale + B over the axes from `axis` on, in float32
/// (float64 for float64 inputs). Scale and B broadcast to X. Source: ONNX LayerNormalization-17.
package struct LayerNormalization: Operator {
  package static let schema = OperatorSchema(
    name: "LayerNormalization", inputs: ["X", "Scale", "B"], requiredInputs: 2,
    outputs: ["Y", "Mean", "InvStdDev"],
    attributes: [
      "axis": "the first axis of those normalised, -1", "epsilon": "added to the variance, 1e-5",
      "stash_type": "the dtype of Mean and InvStdDev; always float32",
    ])
  private let axis: Int
  private let epsilon: Float
  private let outputCount: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
    epsilon = try node.attributes.float("epsilon", default: 1e-5)
    outputCount = node.outputCount
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let x = inputs.type(0)
    var results = [ValueType(dtype: x?.dtype, shape: x?.shape)]
    var statistics = ValueType.unknown(.float32)
    if let shape = x?.shape {
      let axis = try Shape.normalizedAxis(
        self.axis, rank: shape.count, operatorName: "LayerNormalization")
      statistics.shape = shape.indices.map { $0 < axis ? shape[$0] : .known(1) }
    }
    while results.count < outputCount { results.append(statistics) }
    return results
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let rows = try NormalizedRows(inputs, axis: axis, "LayerNormalization", context)
    let bias = try inputs.optional(2, like: rows.dtype)
    let fusedBias = try rows.parameter(bias, context)
    // A bias for whole rows joins the kernel; any other is added with broadcasting.
    let isFused = rows.scale != nil && (bias == nil || fusedBias != nil)
    var statistics: [Tensor] = []
    for index in 1..<max(outputCount, 1) {
      statistics.append(try context.output(index, .float32, rows.statisticsShape))
    }
    let result = try rows.result(context)
    RowFunctions.layerNorm(
      rows.source, rows.n, scale: isFused ? rows.scale : nil, bias: isFused ? fusedBias : nil,
      epsilon: epsilon, into: result, mean: statistics.first,
      inverseDeviation: statistics.count > 1 ? statistics[1] : nil, context.workspace)
    if !isFused {
      try rows.apply(.mul, try inputs.required(1), to: result, context)
      if let bias { try rows.apply(.add, bias, to: result, context) }
    }
    context.deliver([try context.finish(result, as: rows.dtype)] + statistics)
  }
}

/// X / sqrt(mean(X^2) + epsilon) * scale over the axes from `axis` on, in float32 (float64 for
/// float64 inputs). Source: ONNX RMSNormalization-23.
package struct RMSNormalization: Operator {
  package static let schema = OperatorSchema(
    name: "RMSNormalization", inputs: ["X", "scale"], outputs: ["Y"],
    attributes: [
      "axis": "the first axis of those normalised, -1",
      "epsilon": "added to the mean of squares, 1e-5", "stash_type": "always float32",
    ])
  private let axis: Int
  private let epsilon: Float

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
    epsilon = try node.attributes.float("epsilon", default: 1e-5)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let rows = try NormalizedRows(inputs, axis: axis, "RMSNormalization", context)
    let result = try rows.result(context)
    RowFunctions.rmsNorm(
      rows.source, rows.n, scale: rows.scale, epsilon: epsilon, into: result, context.workspace)
    if rows.scale == nil { try rows.apply(.mul, try inputs.required(1), to: result, context) }
    context.deliver(try context.finish(result, as: rows.dtype))
  }
}

/// X of a normalisation as contiguous rows in the type of computation, with its scale.
private struct NormalizedRows {
  let dtype: DType
  let source: Tensor
  let axis: Int
  /// Elements of a row.
  let n: Int
  /// One factor per element of a row; nil where the scale varies from row to row.
  private(set) var scale: Tensor?

  init(_ inputs: Inputs, axis: Int, _ name: String, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    let scale = try inputs.required(1, like: x.dtype)
    dtype = x.dtype
    self.axis = try Shape.normalizedAxis(axis, rank: x.rank, operatorName: name)
    n = x.shape[self.axis...].reduce(1, *)
    source = try context.contiguous(try context.converted(x, to: x.dtype.computeType))
    for index in 1..<inputs.count {
      guard let parameter = inputs.optional(index) else { continue }
      guard Shape.broadcast(parameter.shape, x.shape) == x.shape else {
        throw .shape(
          name, "\(inputs.name(index)) does not broadcast to X",
          expected: "a shape that broadcasts to \(Shape.text(x.shape))",
          actual: Shape.text(parameter.shape), input: inputs.name(index))
      }
    }
    self.scale = try parameter(scale, context)
  }

  var statisticsShape: [Int] {
    source.shape.indices.map { $0 < axis ? source.shape[$0] : 1 }
  }

  /// `parameter` as one number per element of a row, if it is the same for all rows.
  func parameter(_ parameter: Tensor?, _ context: RunContext) throws(MartletError) -> Tensor? {
    guard let parameter else { return nil }
    let rowShape = Array(source.shape[axis...])
    let excess = parameter.rank - rowShape.count
    guard excess <= 0 || parameter.shape[..<excess].allSatisfy({ $0 == 1 }) else { return nil }
    let trimmed = try parameter.restrided(
      Array(parameter.shape.suffix(rowShape.count)),
      strides: Array(parameter.strides.suffix(rowShape.count)))
    let wide = try context.converted(trimmed, to: source.dtype)
    return try context.contiguous(try wide.broadcast(to: rowShape))
  }

  func result(_ context: RunContext) throws(MartletError) -> Tensor {
    source.dtype == dtype
      ? try context.output(0, dtype, source.shape)
      : try context.scratch(source.dtype, source.shape)
  }

  func apply(
    _ function: BinaryFunction, _ parameter: Tensor, to result: Tensor, _ context: RunContext
  ) throws(MartletError) {
    let wide = try context.converted(parameter, to: source.dtype)
    try Elementwise.binary(function, result, wide, into: result, context.workspace)
  }
}
