import MartletBackends
import MartletCore

/// The input itself, and a mask of all true; in training, elements drawn with the probability 1 - ratio,
/// each times 1 / (1 - ratio), zeros in place of the others, and where they stand.
///
/// Products are float32's, of float64 float64's, and rounded once. Source: ONNX Dropout-22.
package struct Dropout: Operator {
  package static let schema = OperatorSchema(
    name: "Dropout", inputs: ["data", "ratio", "training_mode"], requiredInputs: 1,
    outputs: ["output", "mask"], attributes: RandomSource.attribute,
    traits: [.view(of: 0), .narrow(.carried), .random])
  private let outputCount: Int
  private let source: RandomSource

  package init(_ node: OperatorNode) throws(MartletError) {
    outputCount = node.outputCount
    source = try RandomSource(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    // Not what is known of the elements: a run that trains changes them.
    let data = ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)
    let mask = ValueType(dtype: .bool, shape: data.shape)
    return outputCount > 1 ? [data, mask] : [data]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.floatOrFloat8(0)
    let ratio = inputs.optional(1) == nil ? 0.5 : try inputs.number(1)
    let isTraining = inputs.optional(2) == nil ? false : try inputs.number(2) != 0
    if isTraining, ratio != 0 {
      return try drop(data, ratio, context)
    }
    guard outputCount > 1 else { return context.deliver(data) }
    let mask = try context.output(1, .bool, data.shape)
    Copying.fill(mask, with: try context.scalar(1, .bool), context.workspace)
    context.deliver(data, mask)
  }

  private func drop(
    _ data: Tensor, _ ratio: Double, _ context: RunContext
  ) throws(MartletError) {
    guard ratio > 0, ratio < 1 else {
      throw MartletError(
        .invalidArgument, "Dropout: ratio is \(ratio)", operatorName: "Dropout", input: "ratio",
        expected: "0 or more and below 1", actual: "\(ratio)")
    }
    let mask =
      outputCount > 1
      ? try context.output(1, .bool, data.shape) : try context.scratch(.bool, data.shape)
    RandomFilling.fill(mask, withOnesAt: 1 - ratio, source.next(), on: context.pool)
    let wide = try context.contiguous(try context.converted(data, to: data.dtype.computeType))
    let result =
      wide.dtype == data.dtype
      ? try context.output(0, data.dtype, data.shape) : try context.scratch(wide.dtype, data.shape)
    let workspace = context.workspace
    try Elementwise.binary(
      .mul, wide, try context.scalar(1 / (1 - ratio), wide.dtype), into: result, workspace)
    // Not by a product: what is dropped is 0, whatever it was.
    try Elementwise.select(
      mask, result, try context.scalar(0, wide.dtype), into: result, workspace)
    let output = try context.finish(result, as: data.dtype)
    if outputCount > 1 { context.deliver(output, mask) } else { context.deliver(output) }
  }
}
