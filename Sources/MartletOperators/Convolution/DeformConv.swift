import MartletBackends
import MartletCore

/// Deformable convolution over one to three spatial axes: X [N, C, in...], W [M, C / group, kernel...], offset
/// [N, offset_group * kernel * axes, out...], B [M], mask [N, offset_group * kernel, out...].
///
/// float32 products run in the mode's precision, 16-bit floats in float32 with one rounding at the end,
/// float64 in float64; see `DeformableConvolution`. A place outside X, in the padding or beyond, is 0.
/// Source: ONNX DeformConv-22.
package struct DeformConv: Operator {
  package static let schema = OperatorSchema(
    name: "DeformConv", inputs: ["X", "W", "offset", "B", "mask"], requiredInputs: 3,
    outputs: ["Y"],
    attributes: SlidingWindow.attributes.filter { $0.key != "auto_pad" }.merging([
      "group": "Groups that the channels are divided into (1).",
      "offset_group": "Groups of channels that share their offsets (1).",
    ]) { first, _ in first })

  private let window: SlidingWindow
  private let groups: Int
  private let offsetGroups: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    window = try SlidingWindow(node.attributes)
    groups = try Self.positive(node.attributes, "group")
    offsetGroups = try Self.positive(node.attributes, "offset_group")
  }

  private static func positive(
    _ attributes: Attributes, _ name: String
  ) throws(MartletError) -> Int {
    let value = try attributes.int(name, default: 1)
    guard value > 0 else {
      throw MartletError(
        .invalidArgument, "DeformConv: \(name) is \(value)", operatorName: "DeformConv",
        input: name, expected: ">= 1", actual: "\(value)")
    }
    return value
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let x = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    var shape = [x.first ?? .unknown, inputs.type(1)?.shape?.first ?? .unknown]
    if let offset = inputs.type(2)?.shape, offset.count == x.count, x.count >= 3 {
      shape += offset[2...]
    } else {
      shape += Inference.unknownShape(rank: max(x.count - 2, 0))
    }
    return [ValueType(dtype: dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    let weight = try inputs.required(1, like: x.dtype)
    let offset = try inputs.required(2, like: x.dtype)
    let bias = try inputs.optional(3, like: x.dtype)
    let mask = try inputs.optional(4, like: x.dtype)
    let window = try resolve(x.shape, weight.shape)
    let channels = weight.shape[0]
    let taps = try Shape.elementCount(window.kernel)
    let grouped = try Shape.elementCount([offsetGroups, taps])
    for (input, tensor, rows) in [
      ("offset", offset, try Shape.elementCount([grouped, x.rank - 2]))
    ]
      + (mask.map { [("mask", $0, grouped)] } ?? [])
    {
      let expected = [x.shape[0], rows] + window.output
      guard tensor.shape == expected else {
        throw .shape(
          "DeformConv", input, expected: Shape.text(expected), actual: Shape.text(tensor.shape),
          input: input)
      }
    }
    if let bias, bias.shape != [channels] {
      throw .shape(
        "DeformConv", "B", expected: "[\(channels)]", actual: Shape.text(bias.shape), input: "B")
    }
    let shape = [x.shape[0], channels] + window.output
    let type: DType = x.dtype == .float64 ? .float64 : .float32
    let output =
      try type == x.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    func dense(_ tensor: Tensor) throws(MartletError) -> Tensor {
      try context.contiguous(try context.converted(tensor, to: type))
    }
    if output.count > 0, x.count > 0 {
      let layer = DeformableConvolution(
        ConvolutionGeometry(x.shape, channels: channels, groups: groups, window),
        axes: x.rank - 2, offsetGroups: offsetGroups, dtype: type, src: try dense(x).pointer,
        weights: try dense(weight).pointer, offsets: try dense(offset).pointer,
        mask: try mask.map { tensor throws(MartletError) in try dense(tensor).pointer },
        bias: try bias.map { tensor throws(MartletError) in try dense(tensor).pointer },
        dst: output.pointer, mode: context.mode)
      let columns = try context.scratch(type, layer.scratchShape)
      context.note(try layer.run(columns: columns.pointer, on: context.pool))
    } else if output.count > 0 {
      Copying.zero(output)
      if let bias {
        let ones = window.output.map { _ in 1 }
        let column = try dense(bias).reshaped([channels] + ones)
        Copying.copy(try column.broadcast(to: shape), into: output, context.workspace)
      }
    }
    context.deliver(try context.finish(output, as: x.dtype))
  }

  private func resolve(_ x: [Int], _ w: [Int]) throws(MartletError) -> SlidingWindow.Resolved {
    guard x.count == w.count, x.count >= 3 else {
      throw .shape(
        "DeformConv", "ranks of X and W", expected: "equal and at least 3",
        actual: "\(x.count) and \(w.count)")
    }
    let (depth, overflow) = w[1].multipliedReportingOverflow(by: groups)
    guard !overflow, depth == x[1], w[0] % groups == 0 else {
      throw .shape(
        "DeformConv", "W's shape for \(x[1]) channels in \(groups) groups",
        expected: "[a multiple of \(groups), \(x[1]) / \(groups), ...]", actual: Shape.text(w),
        input: "W")
    }
    guard x[1] % offsetGroups == 0 else {
      throw .shape(
        "DeformConv", "X's channels", expected: "a multiple of offset_group \(offsetGroups)",
        actual: "\(x[1])", input: "X")
    }
    let kernel = Array(w.dropFirst(2))
    let stated = window.kernelShape ?? kernel
    guard stated == kernel else {
      throw .shape(
        "DeformConv", "kernel_shape", expected: "W's \(Shape.text(kernel))",
        actual: Shape.text(stated), input: "kernel_shape")
    }
    return try window.resolve(input: Array(x.dropFirst(2)), kernel: kernel)
  }
}
