import MartletBackends
import MartletCore

/// The K greatest (or least) elements along an axis and their indices, in order whether or not
/// `sorted` asks for it; of equals the first come first. Source: ONNX TopK-24.
package struct TopK: Operator {
  package static let schema = OperatorSchema(
    name: "TopK", inputs: ["X", "K"], outputs: ["Values", "Indices"],
    attributes: [
      "axis": "along which, -1", "largest": "whether the greatest are sought, 1",
      "sorted": "whether the result is in order, 1",
    ])
  private let axis: Int
  private let greatest: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
    greatest = try node.attributes.bool("largest", default: true)
    _ = try node.attributes.bool("sorted", default: true)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let x = inputs.type(0), var shape = x.shape else {
      return [.unknown(inputs.type(0)?.dtype), .unknown(.int64)]
    }
    let axis = try Shape.normalizedAxis(self.axis, rank: shape.count, operatorName: "TopK")
    shape[axis] = inputs.type(1)?.knownElements?.first ?? .unknown
    return [ValueType(dtype: x.dtype, shape: shape), ValueType(dtype: .int64, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, { $0 != .bool }, "a number type")
    let axis = try Shape.normalizedAxis(self.axis, rank: x.rank, operatorName: "TopK")
    let k = try inputs.integer(1)
    let extent = x.shape[axis]
    guard (0...extent).contains(k) else {
      throw MartletError(
        .invalidArgument, "TopK: K=\(k) of \(extent) elements", operatorName: "TopK", input: "K",
        expected: "0...\(extent)", actual: "\(k)")
    }
    var shape = x.shape
    shape[axis] = k
    let dense = try context.contiguous(try context.converted(x, to: x.dtype.computeType))
    let values =
      dense.dtype == x.dtype
      ? try context.output(0, x.dtype, shape) : try context.scratch(dense.dtype, shape)
    let indices = try context.output(1, .int64, shape)
    if values.count > 0 {
      Selecting.top(
        dense, outer: x.shape[..<axis].reduce(1, *), extent: extent,
        inner: x.shape[(axis + 1)...].reduce(1, *), k: k, greatest: greatest, values: values,
        indices: indices, context.workspace)
    }
    context.deliver(try context.finish(values, as: x.dtype), indices)
  }
}
