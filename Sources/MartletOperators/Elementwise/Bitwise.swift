import MartletBackends
import MartletCore

/// An operator on the bits of two integer inputs with broadcasting.
package protocol BitwiseOperator: Operator {
  var function: BinaryFunction { get }
}

extension BitwiseOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try [Inference.binary(inputs, operatorName: Self.schema.name) { _, _ in .unknown }]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.required(0, \.isInteger, "an integer type")
    let b = try inputs.required(1, like: a.dtype)
    let output = try context.output(0, a.dtype, try inputs.broadcastShape(0..<2))
    try Elementwise.binary(function, a, b, into: output, context.workspace)
    context.deliver(output)
  }
}

/// The bits set in both. Source: ONNX BitwiseAnd-18.
package struct BitwiseAnd: BitwiseOperator {
  package static let schema = OperatorSchema.binary("BitwiseAnd")
  package let function = BinaryFunction.bitAnd
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The bits set in either. Source: ONNX BitwiseOr-18.
package struct BitwiseOr: BitwiseOperator {
  package static let schema = OperatorSchema.binary("BitwiseOr")
  package let function = BinaryFunction.bitOr
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The bits set in one of them. Source: ONNX BitwiseXor-18.
package struct BitwiseXor: BitwiseOperator {
  package static let schema = OperatorSchema.binary("BitwiseXor")
  package let function = BinaryFunction.bitXor
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// X shifted by Y bits; by the width or more gives 0 (or the sign). Source: ONNX BitShift-11.
package struct BitShift: BitwiseOperator {
  package static let schema = OperatorSchema(
    name: "BitShift", inputs: ["X", "Y"], outputs: ["Z"],
    attributes: ["direction": "LEFT or RIGHT, required"],
    traits: [.elementwise, .inPlace(with: [0, 1])])
  package let function: BinaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let direction = try node.attributes.string("direction", default: "")
    switch direction {
    case "LEFT": function = .shiftLeft
    case "RIGHT": function = .shiftRight
    default:
      throw MartletError(
        .invalidArgument,
        "BitShift: attribute 'direction' must be LEFT or RIGHT, got '\(direction)'",
        operatorName: "BitShift", input: "direction", expected: "LEFT or RIGHT", actual: direction)
    }
  }
}

/// The bits inverted. Source: ONNX BitwiseNot-18.
package struct BitwiseNot: Operator {
  package static let schema = OperatorSchema.unary("BitwiseNot")
  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0, \.isInteger, "an integer type")
    let output = try context.output(0, input.dtype, input.shape)
    Elementwise.bitNot(input, into: output, context.workspace)
    context.deliver(output)
  }
}
