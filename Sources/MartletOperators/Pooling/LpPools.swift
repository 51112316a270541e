import MartletBackends
import MartletCore

/// The attribute `p` of norms over windows.
private enum NormPower {
  static let attribute = ["p": "The norm's power (2)."]

  static func of(_ attributes: Attributes) throws(MartletError) -> Int {
    let power = try attributes.int("p", default: 2)
    guard power >= 1 else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): p is \(power)",
        operatorName: attributes.operatorName, input: "p", expected: ">= 1", actual: "\(power)")
    }
    return power
  }
}

/// The p-norm of each window; taps in the padding do not count. Floats, summed in float64.
///
/// Source: ONNX LpPool-22.
package struct LpPool: Operator {
  package static let schema = OperatorSchema(
    name: "LpPool", inputs: ["X"], outputs: ["Y"],
    attributes: Pool.attributes.merging(NormPower.attribute) { first, _ in first })

  private let pool: Pool
  private let power: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    pool = try Pool(node.attributes)
    power = try NormPower.of(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: try pool.infer(inputs.type(0)))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    var (problem, shape) = try pool.problem(input.shape, isMax: false, countsPadding: false)
    problem.power = power
    let type = input.dtype.computeType
    let source = try context.contiguous(try context.converted(input, to: type))
    let result =
      try type == input.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    problem.run(src: source, dst: result, indices: nil, pool: context.pool)
    context.deliver(try context.finish(result, as: input.dtype))
  }
}

/// The p-norm of each channel's image. Floats, summed in float64. Source: ONNX GlobalLpPool-22.
package struct GlobalLpPool: Operator {
  package static let schema = OperatorSchema(
    name: "GlobalLpPool", inputs: ["X"], outputs: ["Y"], attributes: NormPower.attribute)

  private let power: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    power = try NormPower.of(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let shape = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    try checkRank(shape.count)
    let ones = [Dimension](repeating: .known(1), count: shape.count - 2)
    return [ValueType(dtype: dtype, shape: Array(shape[..<2]) + ones)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    try checkRank(input.rank)
    let shape = Array(input.shape[..<2]) + [Int](repeating: 1, count: input.rank - 2)
    let type = input.dtype.computeType
    let source = try context.contiguous(try context.converted(input, to: type))
    let result =
      try type == input.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    let pixels = input.shape[2...].reduce(1, *)
    let ones = SpatialExtents(d: 1, h: 1, w: 1)
    let none = SpatialExtents(d: 0, h: 0, w: 0)
    let whole = SpatialExtents(d: 1, h: 1, w: pixels)
    var problem = PoolingProblem(
      planes: result.count, input: whole, kernel: whole, output: ones, stride: ones,
      dilation: ones, padding: none, paddingEnd: none, isMax: false, countsPadding: false)
    problem.power = power
    if pixels == 0 {
      Copying.zero(result)
    } else {
      problem.run(src: source, dst: result, indices: nil, pool: context.pool)
    }
    context.deliver(try context.finish(result, as: input.dtype))
  }

  private func checkRank(_ rank: Int) throws(MartletError) {
    guard rank >= 3 else {
      throw .shape(
        "GlobalLpPool", "rank of X", expected: "at least 3", actual: "\(rank)", input: "X")
    }
  }
}
