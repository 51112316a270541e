import MartletBackends
import MartletCore

/// An operator that says where along an axis the extreme element is, int64; of equals the first, or
/// the last on demand. NaN is the extreme. Source: ONNX ArgMax-13, ArgMin-13.
package protocol ArgExtremeOperator: Operator {
  static var isGreatest: Bool { get }
  var options: ArgExtremeOptions { get }
}

package struct ArgExtremeOptions: Sendable {
  let axis: Int
  let keepsDimensions: Bool
  let takesLast: Bool

  init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: 0)
    keepsDimensions = try node.attributes.bool("keepdims", default: true)
    takesLast = try node.attributes.bool("select_last_index", default: false)
  }
}

extension ArgExtremeOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard var shape = inputs.type(0)?.shape else { return [.unknown(.int64)] }
    let axis = try Shape.normalizedAxis(
      options.axis, rank: shape.count, operatorName: Self.schema.name)
    if options.keepsDimensions { shape[axis] = .known(1) } else { shape.remove(at: axis) }
    return [ValueType(dtype: .int64, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let name = Self.schema.name
    let data = try inputs.required(0, { $0 != .bool }, "a number type")
    let axis = try Shape.normalizedAxis(options.axis, rank: data.rank, operatorName: name)
    var shape = data.shape
    if options.keepsDimensions { shape[axis] = 1 } else { shape.remove(at: axis) }
    let output = try context.output(0, .int64, shape)
    guard output.count > 0 else { return context.deliver(output) }
    guard data.shape[axis] > 0 else {
      throw .shape(
        name, "axis \(axis) is empty", expected: "at least one element",
        actual: Shape.text(data.shape), input: "data")
    }
    let dense = try context.contiguous(
      try context.converted(data, to: data.dtype.computeType))
    Selecting.extreme(
      dense, outer: data.shape[..<axis].reduce(1, *), extent: data.shape[axis],
      inner: data.shape[(axis + 1)...].reduce(1, *), greatest: Self.isGreatest,
      takesLast: options.takesLast, into: output, context.workspace)
    context.deliver(output)
  }
}

extension OperatorSchema {
  static func argExtreme(_ name: String) -> OperatorSchema {
    OperatorSchema(
      name: name, inputs: ["data"], outputs: ["reduced"],
      attributes: [
        "axis": "along which, 0", "keepdims": "whether the axis stays with extent 1, 1",
        "select_last_index": "whether of equals the last counts, 0",
      ])
  }
}

/// Where the greatest element is.
package struct ArgMax: ArgExtremeOperator {
  package static let schema = OperatorSchema.argExtreme("ArgMax")
  package static let isGreatest = true
  package let options: ArgExtremeOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ArgExtremeOptions(node) }
}

/// Where the least element is.
package struct ArgMin: ArgExtremeOperator {
  package static let schema = OperatorSchema.argExtreme("ArgMin")
  package static let isGreatest = false
  package let options: ArgExtremeOptions
  package init(_ node: OperatorNode) throws(MartletError) { options = try ArgExtremeOptions(node) }
}
