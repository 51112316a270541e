import MartletBackends
import MartletCore

/// An operator of two bool inputs with broadcasting.
package protocol LogicalOperator: Operator {
  static var function: LogicalFunction { get }
}

extension LogicalOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try [
      Inference.binary(inputs, operatorName: Self.schema.name, dtype: .bool) { _, _ in .unknown }
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.required(0, like: .bool)
    let b = try inputs.required(1, like: .bool)
    let output = try context.output(0, .bool, try inputs.broadcastShape(0..<2))
    try Elementwise.logical(Self.function, a, b, into: output, context.workspace)
    context.deliver(output)
  }
}

/// A and B. Source: ONNX And-7.
package struct And: LogicalOperator {
  package static let schema = OperatorSchema.binary("And")
  package static let function = LogicalFunction.and
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// A or B. Source: ONNX Or-7.
package struct Or: LogicalOperator {
  package static let schema = OperatorSchema.binary("Or")
  package static let function = LogicalFunction.or
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// A exclusive-or B. Source: ONNX Xor-7.
package struct Xor: LogicalOperator {
  package static let schema = OperatorSchema.binary("Xor")
  package static let function = LogicalFunction.xor
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// Not X. Source: ONNX Not-1.
package struct Not: Operator {
  package static let schema = OperatorSchema.unary("Not")
  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: .bool, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0, like: .bool)
    let output = try context.output(0, .bool, input.shape)
    Elementwise.not(input, into: output, context.workspace)
    context.deliver(output)
  }
}
