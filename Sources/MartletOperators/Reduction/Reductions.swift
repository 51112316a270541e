import MartletBackends
import MartletCore

/// The sum. Source: ONNX ReduceSum-18.
package struct ReduceSum: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceSum")
  package static let function = ReduceFunction.sum
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The sum over the number of elements. Source: ONNX ReduceMean-18.
package struct ReduceMean: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceMean")
  package static let function = ReduceFunction.mean
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The greatest; NaN if any is. Source: ONNX ReduceMax-18.
package struct ReduceMax: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceMax")
  package static let function = ReduceFunction.max
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The least; NaN if any is. Source: ONNX ReduceMin-18.
package struct ReduceMin: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceMin")
  package static let function = ReduceFunction.min
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The product. Source: ONNX ReduceProd-18.
package struct ReduceProd: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceProd")
  package static let function = ReduceFunction.product
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The sum of magnitudes. Source: ONNX ReduceL1-18.
package struct ReduceL1: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceL1")
  package static let function = ReduceFunction.sumOfMagnitudes
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The square root of the sum of squares. Source: ONNX ReduceL2-18.
package struct ReduceL2: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceL2")
  package static let function = ReduceFunction.euclidean
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The sum of squares. Source: ONNX ReduceSumSquare-18.
package struct ReduceSumSquare: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceSumSquare")
  package static let function = ReduceFunction.sumOfSquares
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// The logarithm of the sum. Source: ONNX ReduceLogSum-18.
package struct ReduceLogSum: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceLogSum")
  package static let function = ReduceFunction.logSum
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}

/// log(sum(e^x)), without overflow. Source: ONNX ReduceLogSumExp-18.
package struct ReduceLogSumExp: ReduceOperator {
  package static let schema = OperatorSchema.reduction("ReduceLogSumExp")
  package static let function = ReduceFunction.logSumExp
  package let options: ReduceOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ReduceOptions(node) }
}
