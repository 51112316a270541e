import MartletBackends
import MartletCore

/// An operator that folds one function over any number of inputs of one dtype, with broadcasting.
package protocol VariadicOperator: Operator {
  static var function: BinaryFunction { get }
  static var dividesByCount: Bool { get }
}

extension VariadicOperator {
  package static var dividesByCount: Bool { false }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var shape = inputs.type(0)?.shape
    for index in 1..<max(inputs.count, 1) {
      shape = try Inference.broadcast(
        shape, inputs.type(index)?.shape, operatorName: Self.schema.name)
    }
    return [ValueType(dtype: inputs.type(0)?.dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let first = try inputs.required(0, { $0 != .bool }, "a number type")
    guard inputs.count > 1 else { return context.deliver(first) }
    let shape = try inputs.broadcastShape(0..<inputs.count)
    // Folded in the type of computation, so that a sum of 16-bit floats is rounded once.
    let type = inputs.count > 2 ? first.dtype.computeType : first.dtype
    let result =
      type == first.dtype
      ? try context.output(0, type, shape) : try context.scratch(type, shape)
    var left = try context.converted(first, to: type)
    for index in 1..<inputs.count {
      let right = try context.converted(try inputs.required(index, like: first.dtype), to: type)
      try Elementwise.binary(Self.function, left, right, into: result, context.workspace)
      left = result
    }
    if Self.dividesByCount {
      let divisor = try context.scalar(Double(inputs.count), type)
      try Elementwise.binary(.div, result, divisor, into: result, context.workspace)
    }
    context.deliver(try context.finish(result, as: first.dtype))
  }
}

extension OperatorSchema {
  static func variadic(_ name: String, output: String) -> OperatorSchema {
    OperatorSchema(
      name: name, inputs: ["data_0"], requiredInputs: 1, isVariadic: true, outputs: [output],
      // A lone input is handed on; inputs from the third on are read after the output is written.
      traits: [.elementwise, .inPlace(with: [0, 1]), .view(of: 0)])
  }
}

/// The greatest of the inputs; NaN if any is. Source: ONNX Max-13.
package struct Max: VariadicOperator {
  package static let schema = OperatorSchema.variadic("Max", output: "max")
  package static let function = BinaryFunction.max
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The least of the inputs; NaN if any is. Source: ONNX Min-13.
package struct Min: VariadicOperator {
  package static let schema = OperatorSchema.variadic("Min", output: "min")
  package static let function = BinaryFunction.min
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The sum of the inputs, from left to right. Source: ONNX Sum-13.
package struct Sum: VariadicOperator {
  package static let schema = OperatorSchema.variadic("Sum", output: "sum")
  package static let function = BinaryFunction.add
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The sum of the inputs over their number. Source: ONNX Mean-13.
package struct Mean: VariadicOperator {
  package static let schema = OperatorSchema.variadic("Mean", output: "mean")
  package static let function = BinaryFunction.add
  package static let dividesByCount = true
  package init(_ node: OperatorNode) throws(MartletError) {}
}
