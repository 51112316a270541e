import MartletBackends
import MartletCore

/// e^x / sum(e^x) along one axis, or its logarithm, in float32 (float64 for float64 inputs).
/// Source: ONNX Softmax-13, LogSoftmax-13.
package protocol SoftmaxOperator: Operator {
  static var isLogarithm: Bool { get }
  var axis: Int { get }
}

extension SoftmaxOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let input = inputs.type(0)
    if let rank = input?.rank, rank > 0 {
      _ = try Shape.normalizedAxis(axis, rank: rank, operatorName: Self.schema.name)
    }
    return [ValueType(dtype: input?.dtype, shape: input?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let name = Self.schema.name
    let axis = try Shape.normalizedAxis(self.axis, rank: input.rank, operatorName: name)
    let wide = try context.converted(input, to: input.dtype.computeType)
    let result =
      wide.dtype == input.dtype
      ? try context.output(0, input.dtype, input.shape)
      : try context.scratch(wide.dtype, input.shape)
    try RowFunctions.softmax(
      wide, axis: axis, isLogarithm: Self.isLogarithm, into: result, context.workspace)
    context.deliver(try context.finish(result, as: input.dtype))
  }
}

extension OperatorSchema {
  static func softmax(_ name: String) -> OperatorSchema {
    OperatorSchema(name: name, inputs: ["input"], attributes: ["axis": "along which, -1"])
  }
}

/// e^x / sum(e^x) along `axis`.
package struct Softmax: SoftmaxOperator {
  package static let schema = OperatorSchema.softmax("Softmax")
  package static let isLogarithm = false
  package let axis: Int
  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
  }
}

/// x - log(sum(e^x)) along `axis`.
package struct LogSoftmax: SoftmaxOperator {
  package static let schema = OperatorSchema.softmax("LogSoftmax")
  package static let isLogarithm = true
  package let axis: Int
  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
  }
}
