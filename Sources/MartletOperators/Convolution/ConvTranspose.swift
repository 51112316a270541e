import MartletBackends
import MartletCore

/// Transposed convolution over one to three spatial axes: X [N, C, ...], W [C, M / group, ...], B [M].
///
/// float32 products run in the mode's precision, 16-bit floats the same in float32 with one rounding
/// at the end, float64 in float64; see `TransposedConvolution` for the sums.
/// Complexity: 2·N·C·(M/group)·taps·pixels floating-point operations, scratch for the taps of some
/// output channels. Source: ONNX ConvTranspose-22.
package struct ConvTranspose: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "ConvTranspose", inputs: ["X", "W", "B"], requiredInputs: 2, outputs: ["Y"],
    attributes: TransposedWindow.attributes.merging([
      "group": "Groups that the channels are divided into (1)."
    ]) { first, _ in first })

  private let window: TransposedWindow
  private let groups: Int
  private let constant: TransposedWeights?

  package init(_ node: OperatorNode) throws(MartletError) {
    window = try TransposedWindow(node.attributes)
    groups = try node.attributes.int("group", default: 1)
    guard groups > 0 else {
      throw MartletError(
        .invalidArgument, "ConvTranspose: group is \(groups)", operatorName: "ConvTranspose",
        input: "group", expected: ">= 1", actual: "\(groups)")
    }
    constant = node.constant(1).map { _ in TransposedWeights(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let x = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    guard let w = inputs.type(1)?.shape else {
      return [ValueType(dtype: dtype, shape: Inference.unknownShape(rank: x.count))]
    }
    try checkRanks(x.count, w.count)
    let leading = [x[0], Inference.times(w[1], .known(groups))]
    let extents = w.dropFirst(2).map { if case .known(let value) = $0 { value } else { 0 } }
    let kernel = window.window.kernelShape ?? extents
    guard !kernel.contains(0) else {
      return [
        ValueType(dtype: dtype, shape: leading + Inference.unknownShape(rank: x.count - 2))
      ]
    }
    let output = try window.infer(input: Array(x.dropFirst(2)), kernel: kernel)
    return [ValueType(dtype: dtype, shape: leading + output)]
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    guard let constant, let weight = inputs.type(1)?.constant, weight.count > 0, weight.rank >= 3,
      weight.shape[0] % groups == 0, weight.dtype == .float32 || weight.dtype == .float64
    else { return [] }
    try RunMemory.temporary { memory throws(MartletError) in
      _ = try constant.matrices(
        weight, groups: groups, Workspace(pool: preparation.pool, memory: memory))
    }
    return [1]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let weight = try inputs.required(1, like: input.dtype)
    let bias = try inputs.optional(2, like: input.dtype)
    let (extents, shape) = try resolve(input.shape, weight.shape, bias?.shape)
    if try Shape.byteCount(shape, .float64) == 0 || input.count == 0 || weight.count == 0 {
      return context.deliver(try untouched(input.dtype, shape, bias, context))
    }
    let type: DType = input.dtype == .float64 ? .float64 : .float32
    let x = try context.contiguous(try context.converted(input, to: type))
    let w = try groupMatrices(weight, as: type, context)
    let b = try bias.map { tensor throws(MartletError) in
      try context.contiguous(try context.converted(tensor, to: type))
    }
    let output =
      try input.dtype == type ? context.output(0, type, shape) : context.scratch(type, shape)
    let layer = TransposedConvolution(
      ConvolutionGeometry(input.shape, channels: shape[1], groups: groups, extents), dtype: type,
      src: x.pointer,
      weights: MatrixView(
        w.pointer, type, rowStride: w.strides[1], columnStride: w.strides[2]),
      bias: b?.pointer, dst: output.pointer, mode: context.mode)
    let taps = try context.scratch(type, layer.scratchShape)
    context.note(try layer.run(taps: taps.pointer, on: context.pool))
    context.deliver(try context.finish(output, as: input.dtype))
  }

  /// The result where nothing falls on it: the bias.
  private func untouched(
    _ dtype: DType, _ shape: [Int], _ bias: Tensor?, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let output = try context.output(0, dtype, shape)
    if output.count == 0 { return output }
    guard let bias else {
      Copying.zero(output)
      return output
    }
    let ones = [Int](repeating: 1, count: shape.count - 2)
    let column = try bias.restrided(
      [bias.count] + ones, strides: [bias.strides[0]] + ones, at: 0)
    Copying.copy(try column.broadcast(to: shape), into: output, context.workspace)
    return output
  }

  /// The weights as [groups, M / group * taps, C / group].
  private func groupMatrices(
    _ weight: Tensor, as type: DType, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    if let constant, weight.dtype == type {
      return try constant.matrices(weight, groups: groups, context.workspace)
    }
    return try TransposedWeights.view(
      try context.contiguous(try context.converted(weight, to: type)), groups: groups)
  }

  private func checkRanks(_ x: Int, _ w: Int) throws(MartletError) {
    guard x == w, x >= 3 else {
      throw .shape(
        "ConvTranspose", "ranks of X and W", expected: "equal and at least 3",
        actual: "\(x) and \(w)")
    }
  }

  /// The window over these shapes, and the shape of Y.
  private func resolve(_ x: [Int], _ w: [Int], _ b: [Int]?) throws(MartletError)
    -> (SlidingWindow.Resolved, shape: [Int])
  {
    try checkRanks(x.count, w.count)
    guard x[1] % groups == 0, w[0] == x[1] else {
      throw .shape(
        "ConvTranspose", "W's shape for \(x[1]) channels in \(groups) groups",
        expected: x[1] % groups == 0
          ? "[\(x[1]), ...]" : "X's channels to be a multiple of \(groups)",
        actual: Shape.text(w), input: "W")
    }
    let channels = try Shape.elementCount([w[1], groups])
    if let b, b != [channels] {
      throw .shape(
        "ConvTranspose", "B", expected: "[\(channels)]", actual: Shape.text(b), input: "B")
    }
    let kernel = Array(w.dropFirst(2))
    let stated = window.window.kernelShape ?? kernel
    guard stated == kernel else {
      throw .shape(
        "ConvTranspose", "kernel_shape", expected: "W's \(Shape.text(kernel))",
        actual: Shape.text(stated), input: "kernel_shape")
    }
    let extents = try window.resolve(input: Array(x.dropFirst(2)), kernel: kernel)
    return (extents, [x[0], channels] + extents.output)
  }
}

/// Constant weights of a transposed convolution, turned once so that products read them by rows.
private final class TransposedWeights: Sendable {
  private let prepared: PreparedConstants
  private let held = HeldForm<PreparedTensor>()

  init(_ prepared: PreparedConstants) { self.prepared = prepared }

  /// `weight`, always the same tensor, as contiguous [groups, M / group * taps, C / group].
  func matrices(
    _ weight: Tensor, groups: Int, _ workspace: Workspace
  ) throws(MartletError) -> Tensor {
    let form = try held { () throws(MartletError) in
      try prepared.form("transposed in \(groups) groups", of: weight) { () throws(MartletError) in
        let view = try Self.view(try workspace.contiguous(weight), groups: groups)
        let turned = try Tensor(uninitialized: weight.dtype, view.shape)
        Copying.copy(view, into: turned, workspace)
        return PreparedTensor(turned)
      }
    }
    return form.tensor
  }

  /// The contiguous `weight` seen as [groups, M / group * taps, C / group].
  static func view(_ weight: Tensor, groups: Int) throws(MartletError) -> Tensor {
    let depth = weight.shape[0] / groups
    let rows = weight.count / weight.shape[0]
    return try weight.restrided(
      [groups, rows, depth], strides: [rows * depth, 1, rows], at: 0)
  }
}
