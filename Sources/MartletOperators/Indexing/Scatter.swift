import MartletBackends
import MartletCore

/// A copy of data in which the elements at indices along `axis` are replaced by, or reduced with,
/// the updates, in order. Source: ONNX ScatterElements-18.
package struct ScatterElements: Operator {
  package static let schema = OperatorSchema(
    name: "ScatterElements", inputs: ["data", "indices", "updates"],
    attributes: ["axis": "along which, 0", "reduction": "none, add, mul, max or min; none"],
    traits: [.anyElement])
  private let axis: Int
  private let reduction: ScatterReduction

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: 0)
    reduction = try ScatterReduction.parse(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let indices = try inputs.required(1, { $0 == .int64 || $0 == .int32 }, "int32 or int64")
    let updates = try inputs.required(2, like: data.dtype)
    let axis = try Shape.normalizedAxis(
      self.axis, rank: data.rank, operatorName: "ScatterElements")
    guard updates.shape == indices.shape else {
      throw .shape(
        "ScatterElements", "updates do not fit the indices", expected: Shape.text(indices.shape),
        actual: Shape.text(updates.shape), input: "updates")
    }
    let offsets = try Indices.elementOffsets(
      indices, data.shape, axis: axis, operatorName: "ScatterElements", context)
    context.deliver(
      try reduction.scatter(updates, into: data, at: offsets, slice: 1, context))
  }
}

/// A copy of data in which the slices named by index vectors are replaced by, or reduced with, the
/// updates, in order. Source: ONNX ScatterND-18.
package struct ScatterND: Operator {
  package static let schema = OperatorSchema(
    name: "ScatterND", inputs: ["data", "indices", "updates"],
    attributes: ["reduction": "none, add, mul, max or min; none"], traits: [.anyElement])
  private let reduction: ScatterReduction

  package init(_ node: OperatorNode) throws(MartletError) {
    reduction = try ScatterReduction.parse(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let indices = try inputs.required(1, { $0 == .int64 || $0 == .int32 }, "int32 or int64")
    let updates = try inputs.required(2, like: data.dtype)
    let (offsets, slice) = try Indices.sliceOffsets(
      indices, data.shape, batchDims: 0, operatorName: "ScatterND", context)
    let expected = indices.shape.dropLast() + slice
    guard updates.shape == Array(expected) else {
      throw .shape(
        "ScatterND", "updates do not fit the indices", expected: Shape.text(Array(expected)),
        actual: Shape.text(updates.shape), input: "updates")
    }
    context.deliver(
      try reduction.scatter(
        updates, into: data, at: offsets, slice: slice.reduce(1, *), context))
  }
}

extension ScatterReduction {
  static func parse(_ attributes: Attributes) throws(MartletError) -> ScatterReduction {
    let name = try attributes.string("reduction", default: "none")
    switch name {
    case "none": return .replace
    case "add": return .add
    case "mul": return .multiply
    case "max": return .max
    case "min": return .min
    default:
      throw MartletError(
        .invalidArgument,
        "\(attributes.operatorName): attribute 'reduction' must be none, add, mul, max or min, got \(name)",
        operatorName: attributes.operatorName, input: "reduction",
        expected: "none, add, mul, max or min", actual: name)
    }
  }

  /// A copy of `data` with the updates scattered; 16-bit floats are reduced in float32.
  func scatter(
    _ updates: Tensor, into data: Tensor, at offsets: [Int], slice: Int, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let isReplacing = if case .replace = self { true } else { false }
    guard isReplacing || data.dtype != .string else {
      throw MartletError(
        .invalidDType, "strings cannot be reduced", input: "data",
        expected: "numbers, or reduction none",
        actual: "string")
    }
    let type = isReplacing ? data.dtype : data.dtype.computeType
    let result =
      type == data.dtype
      ? try context.output(0, type, data.shape) : try context.scratch(type, data.shape)
    try Casting.cast(data, into: result, context.workspace)
    let values = try context.contiguous(try context.converted(updates, to: type))
    Scattering.slices(values, toOffsets: offsets, slice: slice, self, into: result)
    return try context.finish(result, as: data.dtype)
  }
}
