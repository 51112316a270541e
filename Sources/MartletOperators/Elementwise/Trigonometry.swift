import MartletBackends
import MartletCore

/// The sine (radians). Source: ONNX Sin.
package struct Sin: UnaryOperator {
  package static let schema = OperatorSchema.unary("Sin")
  package let function = UnaryFunction.sin
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The cosine (radians). Source: ONNX Cos.
package struct Cos: UnaryOperator {
  package static let schema = OperatorSchema.unary("Cos")
  package let function = UnaryFunction.cos
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The tangent (radians). Source: ONNX Tan.
package struct Tan: UnaryOperator {
  package static let schema = OperatorSchema.unary("Tan")
  package let function = UnaryFunction.tan
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The inverse sine (radians). Source: ONNX Asin.
package struct Asin: UnaryOperator {
  package static let schema = OperatorSchema.unary("Asin")
  package let function = UnaryFunction.asin
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The inverse cosine (radians). Source: ONNX Acos.
package struct Acos: UnaryOperator {
  package static let schema = OperatorSchema.unary("Acos")
  package let function = UnaryFunction.acos
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The inverse tangent (radians). Source: ONNX Atan.
package struct Atan: UnaryOperator {
  package static let schema = OperatorSchema.unary("Atan")
  package let function = UnaryFunction.atan
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The hyperbolic sine (radians). Source: ONNX Sinh.
package struct Sinh: UnaryOperator {
  package static let schema = OperatorSchema.unary("Sinh")
  package let function = UnaryFunction.sinh
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The hyperbolic cosine (radians). Source: ONNX Cosh.
package struct Cosh: UnaryOperator {
  package static let schema = OperatorSchema.unary("Cosh")
  package let function = UnaryFunction.cosh
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The inverse hyperbolic sine (radians). Source: ONNX Asinh.
package struct Asinh: UnaryOperator {
  package static let schema = OperatorSchema.unary("Asinh")
  package let function = UnaryFunction.asinh
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The inverse hyperbolic cosine (radians). Source: ONNX Acosh.
package struct Acosh: UnaryOperator {
  package static let schema = OperatorSchema.unary("Acosh")
  package let function = UnaryFunction.acosh
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The inverse hyperbolic tangent (radians). Source: ONNX Atanh.
package struct Atanh: UnaryOperator {
  package static let schema = OperatorSchema.unary("Atanh")
  package let function = UnaryFunction.atanh
  package init(_ node: OperatorNode) throws(MartletError) {}
}
