import MartletBackends
import MartletCore

/// A new axis of `depth` places, `values[1]` where the index says and `values[0]` elsewhere; an index
/// outside -depth..<depth marks no place. Source: ONNX OneHot-11.
package struct OneHot: Operator {
  package static let schema = OperatorSchema(
    name: "OneHot", inputs: ["indices", "depth", "values"],
    attributes: ["axis": "where the new axis goes in the output, -1"], traits: [.anyElement])
  private let axis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: -1)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard var shape = inputs.type(0)?.shape else { return [.unknown(inputs.type(2)?.dtype)] }
    let axis = try Shape.normalizedAxis(
      self.axis, rank: shape.count + 1, operatorName: "OneHot")
    shape.insert(inputs.type(1)?.knownElements?.first ?? .unknown, at: axis)
    return [ValueType(dtype: inputs.type(2)?.dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let indices = try inputs.required(0, { $0 != .bool && $0 != .string }, "a number type")
    _ = try inputs.required(1, { $0 != .string }, "a number type")
    let depth = Casting.clamped(try inputs.number(1)) as Int
    let values = try inputs.required(2)
    guard depth >= 0, values.shape == [2] else {
      throw .shape(
        "OneHot", "depth or values do not fit", expected: "depth >= 0 and 2 values",
        actual: "depth \(depth) and values \(Shape.text(values.shape))")
    }
    let axis = try Shape.normalizedAxis(
      self.axis, rank: indices.rank + 1, operatorName: "OneHot")
    var shape = indices.shape
    shape.insert(depth, at: axis)
    let output = try context.output(0, values.dtype, shape)
    let (off, on) = (
      values.sliced(axis: 0, start: 0, count: 1, step: 1),
      values.sliced(axis: 0, start: 1, count: 1, step: 1)
    )
    Copying.fill(output, with: off, context.workspace)
    guard output.count > 0 else { return context.deliver(output) }
    try context.checkRoom(indices.count, "OneHot")
    let inner = indices.shape[axis...].reduce(1, *)
    var offsets: [Int] = []
    for (position, index) in SmallTensors.integers(indices).enumerated()
    where index >= -depth && index < depth {
      let place = index < 0 ? index + depth : index
      offsets.append((position / inner * depth + place) * inner + position % inner)
    }
    let marks = try context.contiguous(try on.broadcast(to: [offsets.count]))
    Scattering.slices(marks, toOffsets: offsets, slice: 1, .replace, into: output)
    context.deliver(output)
  }
}

/// The coordinates of the elements that are not zero, int64 [rank, number of them], in row-major
/// order. Source: ONNX NonZero-13.
package struct NonZero: Operator {
  package static let schema = OperatorSchema(name: "NonZero", inputs: ["X"], outputs: ["Y"])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rank = inputs.type(0)?.rank.map { Dimension.known($0) } ?? .unknown
    return [ValueType(dtype: .int64, shape: [rank, .unknown])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0)
    let dense = try context.contiguous(try context.converted(x, to: x.dtype.computeType))
    try context.checkRoom(dense.count, "NonZero")
    let positions = Generating.nonZeroPositions(dense)
    let output = try context.output(0, .int64, [x.rank, positions.count])
    Generating.coordinates(ofNonZero: positions, shape: x.shape, into: output)
    context.deliver(output)
  }
}

/// The slices along `axis` (of the flattened input, without one) whose condition is true.
/// Source: ONNX Compress-11.
package struct Compress: Operator {
  package static let schema = OperatorSchema(
    name: "Compress", inputs: ["input", "condition"],
    attributes: ["axis": "along which; none: the flattened input"], traits: [.anyElement])
  private let axis: Int?

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.optionalInt("axis")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let axis else { return [ValueType(dtype: dtype, shape: [.unknown])] }
    guard var shape = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    shape[try Shape.normalizedAxis(axis, rank: shape.count, operatorName: "Compress")] = .unknown
    return [ValueType(dtype: dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let dense = try context.contiguous(try inputs.required(0))
    let condition = try inputs.required(1, like: .bool)
    let input = axis == nil ? try dense.reshaped([dense.count]) : dense
    let axis = try Shape.normalizedAxis(
      self.axis ?? 0, rank: input.rank, operatorName: "Compress")
    guard condition.rank == 1, condition.count <= input.shape[axis] else {
      throw .shape(
        "Compress", "the condition does not fit", expected: "at most [\(input.shape[axis])]",
        actual: Shape.text(condition.shape), input: "condition")
    }
    try context.checkRoom(condition.count, "Compress")
    let flags = try context.contiguous(condition).typed(UInt8.self)
    let kept = [Int](unsafeUninitializedCapacity: condition.count) { buffer, count in
      for index in buffer.indices {
        buffer[count] = index
        count += flags[index] == 0 ? 0 : 1
      }
    }
    var shape = input.shape
    shape[axis] = kept.count
    let output = try context.output(0, input.dtype, shape)
    Gathering.slices(
      input, outer: shape[..<axis].reduce(1, *), extent: input.shape[axis],
      inner: shape[(axis + 1)...].reduce(1, *), indices: kept, into: output,
      context.workspace)
    context.deliver(output)
  }
}
