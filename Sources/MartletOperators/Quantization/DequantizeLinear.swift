import MartletBackends
import MartletCore

/// y = (x - x_zero_point) * x_scale, computed in float32 and rounded once to y's dtype, which is the
/// scale's unless `output_dtype` says otherwise.
///
/// x: uint8, int8, uint16, int16 or int32 of any shape.
/// Source: ONNX DequantizeLinear-25 (without 4-bit integers and 8-bit floats).
package struct DequantizeLinear: Operator {
  package static let schema = OperatorSchema(
    name: "DequantizeLinear", inputs: ["x", "x_scale", "x_zero_point"], requiredInputs: 2,
    outputs: ["y"], attributes: QuantizationParameters.attributes)

  private let parameters: QuantizationParameters

  package init(_ node: OperatorNode) throws(MartletError) {
    parameters = try QuantizationParameters(node.attributes)
    if let type = parameters.outputType, !type.isFloatingPoint || type == .float64 {
      throw .dtype(
        "DequantizeLinear", "output_dtype", expected: "float32, float16 or bfloat16", actual: type)
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [
      ValueType(
        dtype: parameters.outputType ?? inputs.type(1)?.dtype, shape: inputs.type(0)?.shape)
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(
      0, { [.uint8, .int8, .uint16, .int16, .int32].contains($0) },
      "uint8, int8, uint16, int16 or int32")
    let scale = try inputs.required(
      1, { $0.isFloatingPoint && $0 != .float64 }, "float32, float16 or bfloat16")
    let zero = try inputs.optional(2, like: x.dtype)
    let type = parameters.outputType ?? scale.dtype
    let source = try context.contiguous(x)
    let scales = try context.dense(scale, .float32)
    let zeros = try zero.map { tensor throws(MartletError) in try context.dense(tensor, .int32) }
    let output =
      try type == .float32
      ? context.output(0, .float32, x.shape) : context.scratch(.float32, x.shape)
    let resolved = try parameters.resolve(
      x.shape, scale: scale, zero: zero, scales: scales, zeros: zeros)
    Quantizing.dequantize(
      source.pointer, x.dtype, into: output.typed(Float.self), resolved, pool: context.pool)
    for tensor in [source, scales, zeros, output] { tensor?.keepAlive() }
    context.deliver(try context.finish(output, as: type))
  }
}
