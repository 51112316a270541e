import MartletBackends
import MartletCore

/// y = saturate(round(x / y_scale) + y_zero_point), half to even; NaN gives the least value.
///
/// x: float32, float16, bfloat16 or int32 of any shape; y: uint8, int8, uint16 or int16. The quotient
/// is rounded to `precision`, which is the scale's dtype unless said otherwise.
/// Source: ONNX QuantizeLinear-25 (without 4-bit integers and 8-bit floats).
package struct QuantizeLinear: Operator {
  package static let schema = OperatorSchema(
    name: "QuantizeLinear", inputs: ["x", "y_scale", "y_zero_point"], requiredInputs: 2,
    outputs: ["y"],
    attributes: QuantizationParameters.attributes.merging([
      "precision": "The dtype that the quotient is rounded to; 0: the scale's (0).",
      "saturate": "For 8-bit floats; unused (1).",
    ]) { first, _ in first })

  private let parameters: QuantizationParameters
  private let precision: DType?

  package init(_ node: OperatorNode) throws(MartletError) {
    parameters = try QuantizationParameters(node.attributes)
    let number = try node.attributes.int("precision", default: 0)
    precision =
      number == 0
      ? nil : try .fromONNX(number, operatorName: "QuantizeLinear", attribute: "precision")
    if let type = parameters.outputType { try QuantizeLinear.check(type) }
    if let precision, !precision.isFloatingPoint || precision == .float64 {
      throw .dtype("QuantizeLinear", "precision", expected: "a float type", actual: precision)
    }
  }

  private static func check(_ type: DType) throws(MartletError) {
    guard [.uint8, .int8, .uint16, .int16].contains(type) else {
      throw .dtype(
        "QuantizeLinear", "y_zero_point", expected: "uint8, int8, uint16 or int16", actual: type)
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype =
      inputs.count > 2 && inputs[2] != nil
      ? inputs.type(2)?.dtype : parameters.outputType ?? .uint8
    return [ValueType(dtype: dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    func isNumber(_ dtype: DType) -> Bool {
      dtype == .int32 || (dtype.isFloatingPoint && dtype != .float64)
    }
    let x = try inputs.required(0, isNumber, "float32, float16, bfloat16 or int32")
    let scale = try inputs.required(1, isNumber, "float32, float16, bfloat16 or int32")
    let zero = inputs.optional(2)
    let type = zero?.dtype ?? parameters.outputType ?? .uint8
    try QuantizeLinear.check(type)
    if let given = parameters.outputType, given != type {
      throw .dtype("QuantizeLinear", "y_zero_point", expected: "\(given)", actual: type)
    }
    var source = try context.dense(x, .float32)
    var scales = try context.dense(scale, .float32)
    let zeros = try zero.map { tensor throws(MartletError) in try context.dense(tensor, .int32) }
    let output = try context.output(0, type, x.shape)
    var resolved = try parameters.resolve(
      x.shape, scale: scale, zero: zero, scales: scales, zeros: zeros)
    let rounding = precision ?? scale.dtype
    if rounding == .float16 || rounding == .bfloat16 {
      (source, scales) = try quotients(source, scales, resolved, rounding, context)
      resolved.scales = UnsafePointer(scales.typed(Float.self))
    }
    Quantizing.quantize(
      UnsafePointer(source.typed(Float.self)), into: output.pointer, type, resolved,
      pool: context.pool)
    for tensor in [source, scales, zeros, output] { tensor?.keepAlive() }
    context.deliver(output)
  }

  /// The quotients rounded to a 16-bit float, and scales of 1 to go on with.
  private func quotients(
    _ source: Tensor, _ scales: Tensor, _ parameters: Quantizing.Parameters, _ rounding: DType,
    _ context: RunContext
  ) throws(MartletError) -> (Tensor, Tensor) {
    let wide = try context.scratch(.float32, source.shape)
    let from = source.typed(Float.self)
    let to = wide.typed(Float.self)
    let p = parameters
    for index in 0..<source.count {
      let (line, i) = index.quotientAndRemainder(dividingBy: max(p.inner, 1))
      let (o, a) = line.quotientAndRemainder(dividingBy: max(p.axis, 1))
      let entry = o * p.outerStep + a / p.block * p.axisStep + i * p.innerStep
      to[index] = from[index] / p.scales[entry]
    }
    let narrow = try context.converted(wide, to: rounding)
    let ones = try context.scratch(.float32, scales.shape)
    ones.typed(Float.self).update(repeating: 1, count: ones.count)
    for tensor in [source, scales, wide] { tensor.keepAlive() }
    return (try context.dense(narrow, .float32), ones)
  }
}
