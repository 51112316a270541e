import MartletBackends
import MartletCore

/// The hyperbolic tangent. Source: ONNX Tanh-13.
package struct Tanh: UnaryOperator {
  package static let schema = OperatorSchema.unary("Tanh")
  package let function = UnaryFunction.tanh
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// 1 / (1 + e^-x). Source: ONNX Sigmoid-13.
package struct Sigmoid: UnaryOperator {
  package static let schema = OperatorSchema.unary("Sigmoid")
  package let function = UnaryFunction.sigmoid
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// max(x, 0). Source: ONNX Relu-14.
package struct Relu: UnaryOperator {
  package static let schema = OperatorSchema.unary("Relu")
  package static let takesIntegers = true
  package let function = UnaryFunction.relu
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// x * clamp(x/6 + 1/2, 0, 1). Source: ONNX HardSwish-22.
package struct HardSwish: UnaryOperator {
  package static let schema = OperatorSchema.unary("HardSwish")
  package let function = UnaryFunction.hardSwish
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// log(1 + e^x). Source: ONNX Softplus-22.
package struct Softplus: UnaryOperator {
  package static let schema = OperatorSchema.unary("Softplus")
  package let function = UnaryFunction.softplus
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// x / (1 + |x|). Source: ONNX Softsign-22.
package struct Softsign: UnaryOperator {
  package static let schema = OperatorSchema.unary("Softsign")
  package let function = UnaryFunction.softsign
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// x * tanh(softplus(x)). Source: ONNX Mish-22.
package struct Mish: UnaryOperator {
  package static let schema = OperatorSchema.unary("Mish")
  package let function = UnaryFunction.mish
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// x * sigmoid(x). Martlet's own name for Swish with alpha 1.
package struct Silu: UnaryOperator, MartletOperator {
  package static let schema = OperatorSchema.unary("Silu", domain: OperatorID.martletDomain)
  package let function = UnaryFunction.silu
  package init(_ node: OperatorNode) throws(MartletError) {}

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    let x = body.input(0) ?? ""
    body.outputs = [ActivationTable.row(of: Self.schema.id)?.decompose(x, into: &body) ?? x]
    return body
  }
}
