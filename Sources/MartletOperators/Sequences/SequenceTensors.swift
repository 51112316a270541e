import MartletBackends
import MartletCore

/// The elements of a sequence one after the other along `axis`, or stacked along a new one.
/// Source: ONNX ConcatFromSequence-11.
package struct ConcatFromSequence: Operator {
  package static let schema = OperatorSchema(
    name: "ConcatFromSequence", inputs: ["input_sequence"], outputs: ["concat_result"],
    attributes: ["axis": "along which, required", "new_axis": "whether the axis is a new one, 0"],
    traits: [.anyElement, .anyKind])
  private let axis: Int
  private let isNewAxis: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    guard let axis = try node.attributes.optionalInt("axis") else {
      throw MartletError(
        .invalidArgument, "ConcatFromSequence: attribute 'axis' is missing",
        operatorName: "ConcatFromSequence", input: "axis", expected: "an integer",
        actual: "nothing")
    }
    self.axis = axis
    isNewAxis = try node.attributes.bool("new_axis", default: false)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard case .tensor(let dtype, var shape)? = try inputs.sequenceElement(0, Self.schema) else {
      return [.unknown()]
    }
    if let extents = shape {
      let rank = extents.count + (isNewAxis ? 1 : 0)
      let axis = try Shape.normalizedAxis(self.axis, rank: rank, operatorName: Self.schema.name)
      if isNewAxis { shape?.insert(.unknown, at: axis) } else { shape?[axis] = .unknown }
    }
    return [ValueType(dtype: dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    var parts: [Tensor] = []
    for element in try inputs.sequence(0).elements {
      guard let tensor = element.tensor else {
        throw MartletError(
          .invalidArgument, "ConcatFromSequence: element \(parts.count) is \(element.summary)",
          operatorName: "ConcatFromSequence", expected: "a tensor", actual: element.summary)
      }
      guard !tensor.dtype.isPacked else {
        throw .dtype(
          Self.schema.name, "input_sequence", expected: "elements of whole bytes",
          actual: tensor.dtype)
      }
      parts.append(tensor)
    }
    guard let first = parts.first else {
      throw MartletError(
        .invalidArgument, "ConcatFromSequence: the sequence is empty",
        operatorName: "ConcatFromSequence", input: "input_sequence",
        expected: "at least 1 element", actual: "none")
    }
    let rank = first.rank + (isNewAxis ? 1 : 0)
    let axis = try Shape.normalizedAxis(self.axis, rank: rank, operatorName: "ConcatFromSequence")
    if isNewAxis {
      for index in parts.indices { parts[index] = parts[index].insertingAxis(axis) }
    }
    context.deliver(try Concat.joined(parts, axis: axis, Self.schema, context))
  }
}

/// The input cut along `axis` into a sequence of parts, of the sizes in `split` (a scalar: all of that
/// size but the last, which may be shorter; absent: 1). Views.
///
/// Without `split` and with keepdims 0 the parts lose the axis. Source: ONNX SplitToSequence-24.
package struct SplitToSequence: Operator {
  package static let schema = OperatorSchema(
    name: "SplitToSequence", inputs: ["input", "split"], requiredInputs: 1,
    outputs: ["output_sequence"],
    attributes: ["axis": "along which, 0", "keepdims": "whether parts of one keep the axis, 1"],
    traits: [.anyElement])
  private let axis: Int
  private let keepsAxis: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: 0)
    keepsAxis = try node.attributes.bool("keepdims", default: true)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0) else { return [ValueType(.sequence(of: .unknownTensor))] }
    guard var shape = input.shape else {
      return [ValueType(.sequence(of: .tensor(input.dtype, nil)))]
    }
    let axis = try Shape.normalizedAxis(
      self.axis, rank: shape.count, operatorName: "SplitToSequence")
    if inputs.type(1) != nil {
      shape[axis] = .unknown
    } else if keepsAxis {
      shape[axis] = .known(1)
    } else {
      shape.remove(at: axis)
    }
    return [ValueType(.sequence(of: .tensor(input.dtype, shape)))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    let axis = try Shape.normalizedAxis(
      self.axis, rank: input.rank, operatorName: "SplitToSequence")
    let sizes = try sizes(inputs, extent: input.shape[axis], context)
    let claim = try MemoryClaim.of(
      bytes: sizes.count * ValueSequence.viewBytes, context.memory.allowance)
    var parts: [Value] = []
    parts.reserveCapacity(sizes.count)
    var start = 0
    for size in sizes {
      var part = input.sliced(axis: axis, start: start, count: size, step: 1)
      if inputs.value(1) == nil && !keepsAxis { part = part.droppingAxis(axis) }
      parts.append(.tensor(part))
      start += size
    }
    context.deliver(.sequence(try ValueSequence(parts, dtype: input.dtype, claim)))
  }

  private func sizes(
    _ inputs: Inputs, extent: Int, _ context: RunContext
  ) throws(MartletError) -> [Int] {
    var size = 1
    if let split = inputs.optional(1) {
      if split.rank > 0 {
        try ValueSequence.checkRoom(split.count, "SplitToSequence", context)
        return try checked(inputs.integers(1, context), extent: extent)
      }
      size = try inputs.integer(1)
      guard size >= 1 else {
        throw .shape(
          "SplitToSequence", "parts of \(size)", expected: "a size >= 1", actual: "\(size)",
          input: "split")
      }
    }
    let count = extent == 0 ? 0 : (extent - 1) / size + 1
    try ValueSequence.checkRoom(count, "SplitToSequence", context)
    var sizes = [Int](repeating: size, count: count)
    if count > 0 { sizes[count - 1] = extent - (count - 1) * size }
    return sizes
  }

  private func checked(_ sizes: [Int], extent: Int) throws(MartletError) -> [Int] {
    var left = extent
    for size in sizes {
      guard size >= 0, size <= left else {
        left = -1
        break
      }
      left -= size
    }
    guard left == 0 else {
      throw .shape(
        "SplitToSequence", "the parts do not add up",
        expected: "sizes >= 0 that sum to \(extent)", actual: Shape.text(Array(sizes.prefix(16))),
        input: "split")
    }
    return sizes
  }
}

extension Tensor {
  /// The same elements with a new axis of one at `axis`.
  func insertingAxis(_ axis: Int) -> Tensor {
    var (extents, steps) = (shape, strides)
    extents.insert(1, at: axis)
    steps.insert(1, at: axis)
    return Tensor(
      unchecked: storage, dtype: dtype, shape: extents, strides: steps, byteOffset: byteOffset)
  }

  /// The same elements without `axis`, whose extent is 1.
  func droppingAxis(_ axis: Int) -> Tensor {
    var (extents, steps) = (shape, strides)
    extents.remove(at: axis)
    steps.remove(at: axis)
    return Tensor(
      unchecked: storage, dtype: dtype, shape: extents, strides: steps, byteOffset: byteOffset)
  }
}
