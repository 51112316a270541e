import MartletBackends
import MartletCore

/// The input with elements added (or, for negative pads, removed) before and after its axes: a
/// constant, the edge, or the input reflected or repeated. Source: ONNX Pad-24.
package struct Pad: Operator {
  package static let schema = OperatorSchema(
    name: "Pad", inputs: ["data", "pads", "constant_value", "axes"], requiredInputs: 2,
    attributes: ["mode": "constant, reflect, edge or wrap; constant"],
    traits: [.anyElement, .narrow(.moved)])

  private enum Mode: String {
    case constant, reflect, edge, wrap
  }

  private let mode: Mode

  package init(_ node: OperatorNode) throws(MartletError) {
    let name = try node.attributes.string("mode", default: "constant")
    guard let mode = Mode(rawValue: name) else {
      throw MartletError(
        .invalidArgument,
        "Pad: attribute 'mode' must be constant, reflect, edge or wrap, got \(name)",
        operatorName: "Pad", input: "mode", expected: "constant, reflect, edge or wrap",
        actual: name)
    }
    self.mode = mode
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0) else { return [.unknown()] }
    guard var shape = data.shape else { return [.unknown(data.dtype)] }
    let hasAxes = inputs.count > 3 && inputs[3] != nil
    let axes = hasAxes ? inputs.type(3)?.knownIntegers : Array(shape.indices)
    guard let pads = inputs.type(1)?.knownElements, let axes, pads.count == 2 * axes.count else {
      return [ValueType(dtype: data.dtype, shape: Inference.unknownShape(rank: shape.count))]
    }
    for (index, rawAxis) in axes.enumerated() {
      let axis = try Shape.normalizedAxis(rawAxis, rank: shape.count, operatorName: "Pad")
      let added = Inference.plus(pads[index], pads[axes.count + index])
      shape[axis] = Inference.plus(shape[axis], added)
    }
    return [ValueType(dtype: data.dtype, shape: Inference.shape(from: shape))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let pads = try inputs.integers(1)
    let axes = try inputs.optionalIntegers(3) ?? Array(data.shape.indices)
    guard pads.count == 2 * axes.count else {
      throw .shape(
        "Pad", "pads does not fit the axes", expected: "\(2 * axes.count) numbers",
        actual: "\(pads.count)", input: "pads")
    }
    _ = try Axes.normalized(axes, rank: data.rank, operatorName: "Pad")
    var before = [Int](repeating: 0, count: data.rank)
    var shape = data.shape
    for (index, rawAxis) in axes.enumerated() {
      let axis = try Shape.normalizedAxis(rawAxis, rank: data.rank, operatorName: "Pad")
      before[axis] = pads[index]
      let (begun, overflow1) = data.shape[axis].addingReportingOverflow(pads[index])
      let (extent, overflow2) = begun.addingReportingOverflow(pads[axes.count + index])
      // A place minus a pad must not overflow either.
      guard !overflow1, !overflow2, extent >= 0, pads[index] > -Int.max / 2 else {
        throw .shape(
          "Pad", "the pads of axis \(rawAxis) do not fit", expected: "an extent >= 0",
          actual: "\(data.shape[axis]) with pads \(Shape.text(pads))", input: "pads")
      }
      shape[axis] = extent
    }
    let fill: Tensor
    if let value = try inputs.optional(2, like: data.dtype) {
      guard value.count == 1 else {
        throw .shape(
          "Pad", "constant_value must be one number", expected: "1 element",
          actual: "\(value.count) elements", input: "constant_value")
      }
      fill = value
    } else {
      fill = try context.scalar(0, data.dtype)
    }
    let output = try context.output(0, data.dtype, shape)
    // Without elements there may still be axes too long to list.
    guard output.count > 0 else { return context.deliver(output) }
    var maps: [[Int]] = []
    for axis in shape.indices {
      try context.checkRoom(shape[axis], "Pad")
      let extent = data.shape[axis]
      guard extent > 0 || mode == .constant || shape[axis] == 0 else {
        throw .shape(
          "Pad", "axis \(axis) is empty", expected: "at least one element to repeat",
          actual: Shape.text(data.shape), input: "data")
      }
      maps.append((0..<shape[axis]).map { place($0 - before[axis], extent) })
    }
    Padding.copy(
      try context.contiguous(data), maps: maps, fill: fill, into: output, context.workspace)
    context.deliver(output)
  }

  /// The place of an axis of `extent` elements that is read at `index`, which may lie outside.
  private func place(_ index: Int, _ extent: Int) -> Int {
    if (0..<extent).contains(index) { return index }
    switch mode {
    case .constant: return -1
    case .edge: return index < 0 ? 0 : extent - 1
    case .wrap: return ((index % extent) + extent) % extent
    case .reflect:
      if extent == 1 { return 0 }
      let period = 2 * (extent - 1)
      let phase = ((index % period) + period) % period
      return phase < extent ? phase : period - phase
    }
  }
}

/// The input's centre cut out, or the input centred among zeros, to the extents of `shape` along
/// `axes`. Source: ONNX CenterCropPad-18.
package struct CenterCropPad: Operator {
  package static let schema = OperatorSchema(
    name: "CenterCropPad", inputs: ["input_data", "shape"], outputs: ["output_data"],
    attributes: ["axes": "the axes that shape speaks of; all"], traits: [.anyElement])
  private let axes: [Int]?

  package init(_ node: OperatorNode) throws(MartletError) {
    axes = try node.attributes.optionalInts("axes")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0), var shape = data.shape else {
      return [.unknown(inputs.type(0)?.dtype)]
    }
    let axes = self.axes ?? Array(shape.indices)
    let target = inputs.type(1)?.knownElements
    for (index, rawAxis) in axes.enumerated() {
      let axis = try Shape.normalizedAxis(
        rawAxis, rank: shape.count, operatorName: "CenterCropPad")
      shape[axis] = target.flatMap { index < $0.count ? $0[index] : nil } ?? .unknown
    }
    return [ValueType(dtype: data.dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    var data = try inputs.required(0)
    let target = try inputs.integers(1)
    let axes = self.axes ?? Array(data.shape.indices)
    _ = try Axes.normalized(axes, rank: data.rank, operatorName: "CenterCropPad")
    guard target.count == axes.count, target.allSatisfy({ $0 >= 0 }) else {
      throw .shape(
        "CenterCropPad", "shape does not fit the axes", expected: "\(axes.count) extents >= 0",
        actual: Shape.text(target), input: "shape")
    }
    var shape = data.shape
    for (index, rawAxis) in axes.enumerated() {
      shape[try Shape.normalizedAxis(rawAxis, rank: data.rank, operatorName: "CenterCropPad")] =
        target[index]
    }
    let output = try context.output(0, data.dtype, shape)
    Copying.zero(output)
    var place = output
    for axis in shape.indices {
      let (from, to) = (data.shape[axis], shape[axis])
      if to < from {
        data = data.sliced(axis: axis, start: (from - to) / 2, count: to, step: 1)
      } else {
        place = place.sliced(axis: axis, start: (to - from) / 2, count: from, step: 1)
      }
    }
    Copying.copy(data, into: place, context.workspace)
    context.deliver(output)
  }
}

/// The upper or lower triangle of matrices, zeros elsewhere. Source: ONNX Trilu-14.
package struct Trilu: Operator {
  package static let schema = OperatorSchema(
    name: "Trilu", inputs: ["input", "k"], requiredInputs: 1,
    attributes: ["upper": "whether the upper triangle stays, 1"], traits: [.anyElement])
  private let upper: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    upper = try node.attributes.bool("upper", default: true)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    guard input.rank >= 2 else {
      throw .shape(
        "Trilu", "the input must hold matrices", expected: "rank >= 2",
        actual: "rank \(input.rank)", input: "input")
    }
    let k = inputs.optional(1) == nil ? 0 : try inputs.integer(1)
    let output = try context.output(0, input.dtype, input.shape)
    Padding.triangle(
      try context.contiguous(input), rows: input.shape[input.rank - 2],
      columns: input.shape[input.rank - 1], k: k, keepsUpper: upper, into: output,
      context.workspace)
    context.deliver(output)
  }
}
