import MartletBackends
import MartletCore

/// -x; the least integer stays itself. Source: ONNX Neg-13.
package struct Neg: UnaryOperator {
  package static let schema = OperatorSchema.unary("Neg")
  package static let takesIntegers = true
  package let function = UnaryFunction.neg
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// |x|; the least integer stays itself. Source: ONNX Abs-13.
package struct Abs: UnaryOperator {
  package static let schema = OperatorSchema.unary("Abs")
  package static let takesIntegers = true
  package let function = UnaryFunction.abs
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// -1, 0 or 1; NaN stays NaN. Source: ONNX Sign-13.
package struct Sign: UnaryOperator {
  package static let schema = OperatorSchema.unary("Sign")
  package static let takesIntegers = true
  package let function = UnaryFunction.sign
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The square root; NaN below zero. Source: ONNX Sqrt-13.
package struct Sqrt: UnaryOperator {
  package static let schema = OperatorSchema.unary("Sqrt")
  package let function = UnaryFunction.sqrt
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// 1 / x. Source: ONNX Reciprocal-13.
package struct Reciprocal: UnaryOperator {
  package static let schema = OperatorSchema.unary("Reciprocal")
  package let function = UnaryFunction.reciprocal
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// e^x. Source: ONNX Exp-13.
package struct Exp: UnaryOperator {
  package static let schema = OperatorSchema.unary("Exp")
  package let function = UnaryFunction.exp
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The natural logarithm. Source: ONNX Log-13.
package struct Log: UnaryOperator {
  package static let schema = OperatorSchema.unary("Log")
  package let function = UnaryFunction.log
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The error function. Source: ONNX Erf-13.
package struct Erf: UnaryOperator {
  package static let schema = OperatorSchema.unary("Erf")
  package let function = UnaryFunction.erf
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The greatest integer not above x. Source: ONNX Floor-13.
package struct Floor: UnaryOperator {
  package static let schema = OperatorSchema.unary("Floor")
  package let function = UnaryFunction.floor
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The least integer not below x. Source: ONNX Ceil-13.
package struct Ceil: UnaryOperator {
  package static let schema = OperatorSchema.unary("Ceil")
  package let function = UnaryFunction.ceil
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The nearest integer, ties to even. Source: ONNX Round-22.
package struct Round: UnaryOperator {
  package static let schema = OperatorSchema.unary("Round")
  package let function = UnaryFunction.round
  package init(_ node: OperatorNode) throws(MartletError) {}
}
