import MartletBackends
import MartletCore

/// y = (x - x_zero_point) * x_scale, computed in float32 and rounded once to y's dtype, which is the
/// scale's unless `output_dtype` says otherwise.
///
/// x: int32, an integer of 2 to 16 bits or a float of 4 to 8 bits, of any shape; scales may be
/// float8e8m0, if `output_dtype` is given.
/// Source: ONNX DequantizeLinear-28.
package struct DequantizeLinear: Operator {
  package static let schema = OperatorSchema(
    name: "DequantizeLinear", inputs: ["x", "x_scale", "x_zero_point"], requiredInputs: 2,
    outputs: ["y"], attributes: QuantizationParameters.attributes,
    traits: [.narrow(.carried)])

  private let parameters: QuantizationParameters

  package init(_ node: OperatorNode) throws(MartletError) {
    parameters = try QuantizationParameters(node.attributes)
    if let type = parameters.outputType, ![.float32, .float16, .bfloat16].contains(type) {
      throw .dtype(
        "DequantizeLinear", "output_dtype", expected: "float32, float16 or bfloat16", actual: type)
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [
      ValueType(
        dtype: parameters.outputType ?? inputs.type(1)?.dtype.flatMap { $0.isNarrow ? nil : $0 },
        shape: inputs.type(0)?.shape)
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(
      0,
      {
        $0.isNarrow
          ? $0 != .float8e8m0 : [.uint8, .int8, .uint16, .int16, .int32].contains($0)
      }, "int32, an integer of 2 to 16 bits or a float of 4 to 8 bits")
    let scale = try inputs.required(
      1, { [.float32, .float16, .bfloat16, .float8e8m0].contains($0) },
      "float32, float16, bfloat16 or float8e8m0")
    let zero = try inputs.optional(2, like: x.dtype)
    let type = parameters.outputType ?? scale.dtype
    guard type != .float8e8m0 else {
      throw .dtype(
        "DequantizeLinear", "output_dtype", expected: "float32, float16 or bfloat16", actual: type)
    }
    let scales = try context.dense(scale, .float32)
    let isFloat = x.dtype.isFloatingPoint
    let zeros =
      try isFloat
      ? parameters.floatZeros(zero, context) : parameters.integerZeros(zero, context)
    let resolved = try parameters.resolve(
      x.shape, scale: scale, zero: zero, scales: scales, zeros: isFloat ? nil : zeros)
    let output =
      try type == .float32
      ? context.output(0, .float32, x.shape) : context.scratch(.float32, x.shape)
    if isFloat {
      try Casting.cast(x, into: output, context.workspace)
      Quantizing.rescale(
        output.typed(Float.self), zeros: zeros.map { UnsafePointer($0.typed(Float.self)) },
        resolved, pool: context.pool)
    } else {
      let wide: DType = !x.dtype.isPacked ? x.dtype : x.dtype.isSignedInteger ? .int8 : .uint8
      let source = try context.dense(x, wide)
      Quantizing.dequantize(
        source.pointer, wide, into: output.typed(Float.self), resolved, pool: context.pool)
    }
    context.deliver(try context.finish(output, as: type))
  }
}
