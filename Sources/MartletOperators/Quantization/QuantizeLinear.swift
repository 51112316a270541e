import MartletBackends
import MartletCore

/// y = saturate(round(x / y_scale) + y_zero_point), half to even; NaN gives the least integer.
///
/// x: float32, float16, bfloat16 or int32 of any shape; y: an integer of 2 to 16 bits, or a float of 4
/// to 8 bits, to which the sum is rounded once. The quotient is rounded to `precision`, which is the
/// scale's dtype unless said otherwise (float32 for scales of float8e8m0).
/// Source: ONNX QuantizeLinear-28.
package struct QuantizeLinear: Operator {
  package static let schema = OperatorSchema(
    name: "QuantizeLinear", inputs: ["x", "y_scale", "y_zero_point"], requiredInputs: 2,
    outputs: ["y"],
    attributes: QuantizationParameters.attributes.merging([
      "precision": "The dtype that the quotient is rounded to; 0: the scale's (0).",
      "saturate":
        "To floats of 8 bits: whether what is too large becomes the largest value, not infinity or NaN (1).",
    ]) { first, _ in first }, traits: [.narrow(.carried)])

  private let parameters: QuantizationParameters
  private let precision: DType?
  private var rounding = NarrowRounding()

  package init(_ node: OperatorNode) throws(MartletError) {
    parameters = try QuantizationParameters(node.attributes)
    let number = try node.attributes.int("precision", default: 0)
    precision =
      number == 0
      ? nil : try .fromONNX(number, operatorName: "QuantizeLinear", attribute: "precision")
    rounding.saturates = try node.attributes.int("saturate", default: 1) != 0
    if let type = parameters.outputType { try QuantizeLinear.check(type) }
    if let precision, !precision.isFloatingPoint || precision == .float64 {
      throw .dtype("QuantizeLinear", "precision", expected: "a float type", actual: precision)
    }
  }

  private static func check(_ type: DType) throws(MartletError) {
    guard type.isNarrow ? type != .float8e8m0 : type.isInteger && type.bitWidth <= 16 else {
      throw .dtype(
        "QuantizeLinear", "y_zero_point",
        expected: "an integer of 2 to 16 bits or a float of 4 to 8 bits", actual: type)
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype =
      inputs.count > 2 && inputs[2] != nil
      ? inputs.type(2)?.dtype : parameters.outputType ?? .uint8
    return [ValueType(dtype: dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let numbers: Set<DType> = [.float32, .float16, .bfloat16, .int32]
    let x = try inputs.required(0, numbers.contains, "float32, float16, bfloat16 or int32")
    let scale = try inputs.required(
      1, { numbers.contains($0) || $0 == .float8e8m0 },
      "float32, float16, bfloat16, int32 or float8e8m0")
    let zero = inputs.optional(2)
    let type = zero?.dtype ?? parameters.outputType ?? .uint8
    try QuantizeLinear.check(type)
    if let given = parameters.outputType, given != type {
      throw .dtype("QuantizeLinear", "y_zero_point", expected: "\(given)", actual: type)
    }
    var source = try context.dense(x, .float32)
    var scales = try context.dense(scale, .float32)
    let isFloat = type.isFloatingPoint
    let zeros = try isFloat ? nil : parameters.integerZeros(zero, context)
    var resolved = try parameters.resolve(
      x.shape, scale: scale, zero: zero, scales: scales, zeros: zeros)
    let precision = precision ?? scale.dtype
    if isFloat {
      let floatZeros = try parameters.floatZeros(zero, context)
      context.deliver(
        try context.finish(
          try quotients(source, resolved, precision, zeros: floatZeros, context), as: type,
          rounding: rounding))
      return
    }
    if precision == .float16 || precision == .bfloat16 {
      source = try quotients(source, resolved, precision, context)
      scales = try context.scratch(.float32, scales.shape)
      scales.typed(Float.self).update(repeating: 1, count: scales.count)
      resolved.scales = UnsafePointer(scales.typed(Float.self))
    }
    let wide: DType = !type.isPacked ? type : type.isSignedInteger ? .int8 : .uint8
    let result =
      try type.isPacked ? context.scratch(wide, x.shape) : context.output(0, type, x.shape)
    Quantizing.quantize(
      UnsafePointer(source.typed(Float.self)), into: result.pointer, wide, resolved,
      pool: context.pool)
    guard type.isPacked else { return context.deliver(result) }
    let output = try context.output(0, type, x.shape)
    PackedElements.packClamped(result, into: output, context.workspace)
    context.deliver(output)
  }

  /// The quotients rounded to `precision`, plus the zero points, as float32.
  private func quotients(
    _ source: Tensor, _ parameters: Quantizing.Parameters, _ precision: DType,
    zeros: Tensor? = nil, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    var result = try context.scratch(.float32, source.shape)
    Quantizing.divide(
      UnsafePointer(source.typed(Float.self)), into: result.typed(Float.self), parameters,
      pool: context.pool)
    if precision == .float16 || precision == .bfloat16 {
      let narrow = try context.converted(result, to: precision)
      result = try context.dense(narrow, .float32)
    }
    if let zeros {
      Quantizing.add(
        UnsafePointer(zeros.typed(Float.self)), to: result.typed(Float.self), parameters,
        pool: context.pool)
    }
    return result
  }
}
