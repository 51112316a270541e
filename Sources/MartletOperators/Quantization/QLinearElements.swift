import MartletBackends
import MartletCore

/// C = saturate(round(function(A_scale (A - A_zero_point), B_scale (B - B_zero_point)) / C_scale) +
/// C_zero_point), half to even, inputs broadcasting; each step rounded to float32 once.
///
/// A, B and C: int8 or uint8 each; scales and zero points are single numbers; C is of A's type without
/// a zero point. Source: com.microsoft of ONNX Runtime 1.32.
package protocol QLinearBinary: Operator {
  static var function: BinaryFunction { get }
}

extension QLinearBinary {
  fileprivate static func makeSchema(_ name: String) -> OperatorSchema {
    OperatorSchema(
      name: name, domain: OperatorID.microsoftDomain,
      inputs: [
        "A", "A_scale", "A_zero_point", "B", "B_scale", "B_zero_point", "C_scale",
        "C_zero_point",
      ], requiredInputs: 7, outputs: ["C"])
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shape = try Inference.broadcast(
      inputs.type(0)?.shape, inputs.type(3)?.shape, operatorName: Self.schema.name)
    return [ValueType(dtype: QLinear.resultType(inputs, zero: 7), shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let (a, b) = (try inputs.byte(0), try inputs.byte(3))
    guard let shape = Shape.broadcast(a.shape, b.shape) else {
      throw .shape(
        Self.schema.name, "B does not broadcast",
        expected: "a shape that broadcasts with \(Shape.text(a.shape))",
        actual: Shape.text(b.shape), input: "B")
    }
    _ = try Shape.byteCount(shape, .float64)
    let zero = try QLinear.zero(inputs, 7, nil)
    let output = try context.output(0, zero.dtype ?? a.dtype, shape)
    let operands = try [(a, 0), (b, 3)].map { tensor, index throws(MartletError) in
      QuantizedElements.Operand(
        try context.contiguous(try tensor.broadcast(to: shape)),
        scale: try inputs.scale(index + 1),
        zero: try QLinear.zero(inputs, index + 2, tensor.dtype).value)
    }
    try QuantizedElements.binary(
      Self.function, operands[0], operands[1],
      into: QuantizedElements.Operand(output, scale: try inputs.scale(6), zero: zero.value),
      count: output.count, context.workspace)
    context.deliver(output)
  }
}

/// The sum.
package struct QLinearAdd: QLinearBinary {
  package static let schema = makeSchema("QLinearAdd")
  package static let function = BinaryFunction.add
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The product.
package struct QLinearMul: QLinearBinary {
  package static let schema = makeSchema("QLinearMul")
  package static let function = BinaryFunction.mul
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// Y = saturate(round(function(X_scale (X - X_zero_point)) / Y_scale) + Y_zero_point), half to even.
///
/// X and Y: int8 or uint8 each; scales and zero points are single numbers; Y is of X's type without a
/// zero point. Source: com.microsoft of ONNX Runtime 1.32.
package protocol QLinearUnary: Operator {
  var function: UnaryFunction { get }
}

extension QLinearUnary {
  fileprivate static func makeSchema(
    _ name: String, attributes: [String: String] = [:]
  ) -> OperatorSchema {
    OperatorSchema(
      name: name, domain: OperatorID.microsoftDomain,
      inputs: ["X", "X_scale", "X_zero_point", "Y_scale", "Y_zero_point"], requiredInputs: 4,
      outputs: ["Y"], attributes: attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: QLinear.resultType(inputs, zero: 4), shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try context.contiguous(try inputs.byte(0))
    let zero = try QLinear.zero(inputs, 4, nil)
    let output = try context.output(0, zero.dtype ?? x.dtype, x.shape)
    try QuantizedElements.unary(
      function,
      QuantizedElements.Operand(
        x, scale: try inputs.scale(1), zero: try QLinear.zero(inputs, 2, x.dtype).value),
      into: QuantizedElements.Operand(output, scale: try inputs.scale(3), zero: zero.value),
      count: output.count, context.workspace)
    context.deliver(output)
  }
}

/// 1 / (1 + e^-x).
package struct QLinearSigmoid: QLinearUnary {
  package static let schema = makeSchema("QLinearSigmoid")
  package let function = UnaryFunction.sigmoid
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// x, or alpha x below 0.
package struct QLinearLeakyRelu: QLinearUnary {
  package static let schema = makeSchema(
    "QLinearLeakyRelu", attributes: ["alpha": "The slope below zero (0.01)."])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    function = .leakyRelu(slope: try node.attributes.float("alpha", default: 0.01))
  }
}

/// What both kinds read of their inputs.
private enum QLinear {
  static func resultType(_ inputs: [ValueType?], zero index: Int) -> DType? {
    inputs.count > index && inputs[index] != nil ? inputs.type(index)?.dtype : inputs.type(0)?.dtype
  }

  /// The zero point at `index`, of 8 bits, and its type; 0 where it is absent. `expected`: its type.
  static func zero(
    _ inputs: Inputs, _ index: Int, _ expected: DType?
  ) throws(MartletError) -> (value: Int32, dtype: DType?) {
    guard inputs.optional(index) != nil else { return (0, nil) }
    let tensor =
      if let expected { try inputs.required(index, like: expected) } else { try inputs.byte(index) }
    return (Int32(try inputs.integer(index)), tensor.dtype)
  }
}
