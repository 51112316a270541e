import MartletBackends
import MartletCore

/// An operator that folds along an axis and keeps every step. 16-bit floats are folded in float32.
package protocol CumulativeOperator: Operator {
  static var isProduct: Bool { get }
  var exclusive: Bool { get }
  var reverse: Bool { get }
}

extension CumulativeOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, { $0 != .bool }, "a number type")
    let axis = try Shape.normalizedAxis(
      try inputs.integer(1), rank: x.rank, operatorName: Self.schema.name)
    let dense = try context.contiguous(try context.converted(x, to: x.dtype.computeType))
    let result =
      dense.dtype == x.dtype
      ? try context.output(0, x.dtype, x.shape) : try context.scratch(dense.dtype, x.shape)
    Cumulation.run(
      dense, outer: x.shape[..<axis].reduce(1, *), extent: x.shape[axis],
      inner: x.shape[(axis + 1)...].reduce(1, *), exclusive: exclusive, reverse: reverse,
      isProduct: Self.isProduct, into: result, context.workspace)
    context.deliver(try context.finish(result, as: x.dtype))
  }
}

extension OperatorSchema {
  static func cumulative(_ name: String) -> OperatorSchema {
    OperatorSchema(
      name: name, inputs: ["x", "axis"], outputs: ["y"],
      attributes: [
        "exclusive": "whether an element is left out of its own result, 0",
        "reverse": "whether to run from the end, 0",
      ])
  }
}

/// The running sum along an axis. Source: ONNX CumSum-14.
package struct CumSum: CumulativeOperator {
  package static let schema = OperatorSchema.cumulative("CumSum")
  package static let isProduct = false
  package let exclusive: Bool
  package let reverse: Bool
  package init(_ node: OperatorNode) throws(MartletError) {
    exclusive = try node.attributes.bool("exclusive", default: false)
    reverse = try node.attributes.bool("reverse", default: false)
  }
}

/// The running product along an axis. Source: ONNX CumProd-26.
package struct CumProd: CumulativeOperator {
  package static let schema = OperatorSchema.cumulative("CumProd")
  package static let isProduct = true
  package let exclusive: Bool
  package let reverse: Bool
  package init(_ node: OperatorNode) throws(MartletError) {
    exclusive = try node.attributes.bool("exclusive", default: false)
    reverse = try node.attributes.bool("reverse", default: false)
  }
}
