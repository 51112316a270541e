import MartletBackends
import MartletCore

/// What MaxPool, AveragePool and LpPool share: X [N, C, ...] with one to three spatial axes.
struct Pool {
  let window: SlidingWindow

  static let attributes = SlidingWindow.attributes.merging([
    "ceil_mode": "Whether a last, partial step of the window counts (0)."
  ]) { first, _ in first }

  init(_ attributes: Attributes) throws(MartletError) {
    window = try SlidingWindow(
      attributes, roundsUp: try attributes.bool("ceil_mode", default: false))
    guard window.kernelShape != nil else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): attribute 'kernel_shape' is missing",
        operatorName: attributes.operatorName, input: "kernel_shape",
        expected: "an extent per spatial axis", actual: "nothing")
    }
  }

  func infer(_ input: ValueType?) throws(MartletError) -> [Dimension]? {
    guard let shape = input?.shape else { return nil }
    try checkRank(shape.count)
    return Array(shape[..<2])
      + (try window.infer(input: Array(shape.dropFirst(2)), kernel: window.kernelShape ?? []))
  }

  func checkRank(_ rank: Int) throws(MartletError) {
    guard rank >= 3 else {
      throw .shape(
        window.operatorName, "rank of X", expected: "at least 3", actual: "\(rank)", input: "X")
    }
  }

  /// The problem over `shape` and the shape of its result.
  func problem(
    _ shape: [Int], isMax: Bool, countsPadding: Bool
  ) throws(MartletError) -> (PoolingProblem, output: [Int]) {
    try checkRank(shape.count)
    let spatial = Array(shape.dropFirst(2))
    let resolved = try window.resolve(input: spatial, kernel: window.kernelShape ?? [])
    let output = Array(shape[..<2]) + resolved.output
    _ = try Shape.byteCount(output, .float64)
    let problem = PoolingProblem(
      planes: shape[0] * shape[1], input: SpatialExtents(spatial, fill: 1),
      kernel: SpatialExtents(resolved.kernel, fill: 1),
      output: SpatialExtents(resolved.output, fill: 1),
      stride: SpatialExtents(resolved.strides, fill: 1),
      dilation: SpatialExtents(resolved.dilations, fill: 1),
      padding: SpatialExtents(resolved.begin, fill: 0),
      paddingEnd: SpatialExtents(resolved.end, fill: 0), isMax: isMax,
      countsPadding: countsPadding)
    return (problem, output)
  }
}

/// The maximum of each window; taps in the padding do not count. A NaN is the maximum.
///
/// Any number type; `Indices` are positions in the flattened X. Source: ONNX MaxPool-22.
package struct MaxPool: Operator {
  package static let schema = OperatorSchema(
    name: "MaxPool", inputs: ["X"], outputs: ["Y", "Indices"],
    attributes: Pool.attributes.merging([
      "storage_order": "How Indices count: 0 row-major, 1 column-major."
    ]) { first, _ in first })

  private let pool: Pool
  private let indexesColumns: Bool
  private let outputCount: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    pool = try Pool(node.attributes)
    indexesColumns = try node.attributes.bool("storage_order", default: false)
    outputCount = node.outputCount
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shape = try pool.infer(inputs.type(0))
    let values = ValueType(dtype: inputs.type(0)?.dtype, shape: shape)
    return outputCount > 1 ? [values, ValueType(dtype: .int64, shape: shape)] : [values]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0, { $0 != .bool }, "a number type")
    var (problem, shape) = try pool.problem(input.shape, isMax: true, countsPadding: false)
    problem.indexesColumns = indexesColumns
    let type = input.dtype.computeType
    let source = try context.contiguous(try context.converted(input, to: type))
    let result =
      try type == input.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    let indices = outputCount > 1 ? try context.output(1, .int64, shape) : nil
    problem.run(src: source, dst: result, indices: indices, pool: context.pool)
    context.deliver(try context.finish(result, as: input.dtype))
    if let indices { context.deliver(indices) }
  }
}

/// The mean of each window, over the taps inside the image or inside the padding too. Floats.
///
/// Source: ONNX AveragePool-22.
package struct AveragePool: Operator {
  package static let schema = OperatorSchema(
    name: "AveragePool", inputs: ["X"], outputs: ["Y"],
    attributes: Pool.attributes.merging([
      "count_include_pad": "Whether taps in the padding count as zeros (0)."
    ]) { first, _ in first })

  private let pool: Pool
  private let countsPadding: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    pool = try Pool(node.attributes)
    countsPadding = try node.attributes.bool("count_include_pad", default: false)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: try pool.infer(inputs.type(0)))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let (problem, shape) = try pool.problem(
      input.shape, isMax: false, countsPadding: countsPadding)
    let type = input.dtype.computeType
    let source = try context.contiguous(try context.converted(input, to: type))
    let result =
      try type == input.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    problem.run(src: source, dst: result, indices: nil, pool: context.pool)
    context.deliver(try context.finish(result, as: input.dtype))
  }
}
