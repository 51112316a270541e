import MartletBackends
import MartletCore

/// Convolution over one to three spatial axes: X [N, C, ...], W [M, C / group, ...], B [M].
///
/// Y = activation(conv(X, W) + B + residual). f32 runs the native kernels in the mode's precision,
/// 16-bit floats the same in f32 with one rounding at the end, f64 plain loops.
/// Complexity: 2·N·M·(C/group)·taps·pixels floating-point operations.
/// Source: ONNX Conv-22; `residual` and `activation` are Martlet's own, for graph passes.
package struct Conv: Operator {
  package static let schema = OperatorSchema(
    name: "Conv", inputs: ["X", "W", "B", "residual"], requiredInputs: 2, outputs: ["Y"],
    attributes: FusedActivation.attributes.merging(SlidingWindow.attributes) { first, _ in first }
      .merging(["group": "Groups that the channels are divided into (1)."]) { first, _ in first })

  private let window: SlidingWindow
  private let groups: Int
  private let activation: Activation
  private let constant: ConstantWeights?

  package init(_ node: OperatorNode) throws(MartletError) {
    window = try SlidingWindow(node.attributes)
    groups = try node.attributes.int("group", default: 1)
    guard groups > 0 else {
      throw MartletError(
        .invalidArgument, "Conv: group is \(groups)", operatorName: "Conv", input: "group",
        expected: ">= 1", actual: "\(groups)")
    }
    activation = try FusedActivation.parse(node.attributes)
    constant = node.constant(1).map { _ in ConstantWeights() }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let x = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    guard let w = inputs.type(1)?.shape else {
      return [ValueType(dtype: dtype, shape: Inference.unknownShape(rank: x.count))]
    }
    guard x.count == w.count, x.count >= 3 else {
      throw .shape(
        "Conv", "ranks of X and W", expected: "equal and at least 3",
        actual: "\(x.count) and \(w.count)")
    }
    let extents = w.dropFirst(2).map { if case .known(let value) = $0 { value } else { 0 } }
    let kernel = window.kernelShape ?? extents
    guard !kernel.contains(0) else {
      return [
        ValueType(
          dtype: dtype,
          shape: [x[0], w[0]] + Inference.unknownShape(rank: x.count - 2))
      ]
    }
    let output = try window.infer(input: Array(x.dropFirst(2)), kernel: kernel)
    return [ValueType(dtype: dtype, shape: [x[0], w[0]] + output)]
  }

  package func run(_ inputs: [Tensor?], _ context: RunContext) throws(MartletError) -> [Tensor] {
    let inputs = Inputs(inputs, Self.schema)
    let input = try inputs.float(0)
    let weight = try inputs.required(1, like: input.dtype)
    let bias = try inputs.optional(2, like: input.dtype)
    let resolved = try check(input, weight, bias)
    let shape = [input.shape[0], weight.shape[0]] + resolved.output
    // An empty result may come of extents whose products do not fit.
    if try Shape.byteCount(shape, .float64) == 0 {
      return [try context.output(0, input.dtype, shape)]
    }
    let type: DType = input.dtype == .float64 ? .float64 : .float32
    let x = try context.contiguous(try context.converted(input, to: type))
    let w = try context.contiguous(try context.converted(weight, to: type))
    let b = try bias.map { tensor throws(MartletError) in
      try context.contiguous(try context.converted(tensor, to: type))
    }
    let residual = try inputs.optional(3).map { tensor throws(MartletError) in
      guard tensor.shape == shape else {
        throw .shape(
          "Conv", "residual", expected: Shape.text(shape), actual: Shape.text(tensor.shape),
          input: "residual")
      }
      return try context.contiguous(try context.converted(tensor, to: type))
    }
    let output =
      try input.dtype == type ? context.output(0, type, shape) : context.scratch(type, shape)
    defer { for tensor in [x, w, b, residual, output] { tensor?.keepAlive() } }
    var problem = ConvolutionProblem(
      batch: shape[0], groups: groups, inChannels: input.shape[1], outChannels: shape[1],
      input: SpatialExtents(Array(input.shape.dropFirst(2)), fill: 1),
      kernel: SpatialExtents(resolved.kernel, fill: 1),
      output: SpatialExtents(resolved.output, fill: 1), src: x.typed(Float.self),
      weights: w.typed(Float.self), dst: output.typed(Float.self), mode: context.mode)
    problem.stride = SpatialExtents(resolved.strides, fill: 1)
    problem.dilation = SpatialExtents(resolved.dilations, fill: 1)
    problem.padding = SpatialExtents(resolved.begin, fill: 0)
    if type == .float64 {
      let plain = PlainConvolution(
        geometry: problem, src: x.typed(Double.self), weights: w.typed(Double.self),
        bias: b.map { UnsafePointer($0.typed(Double.self)) }, dst: output.typed(Double.self))
      context.note(try plain.run(on: context.pool))
      if let residual {
        try Elementwise.binary(.add, output, residual, into: output, context.workspace)
      }
      if let function = activation.unaryFunction {
        try Elementwise.unary(function, output, into: output, context.workspace)
      }
      return [output]
    }
    problem.bias = b.map { UnsafePointer($0.typed(Float.self)) }
    problem.residual = residual.map { UnsafePointer($0.typed(Float.self)) }
    problem.activation = activation
    if input.dtype == .float32, !problem.isDepthwise {
      try constant?.prepare(&problem, context)
    }
    context.note(try Backends.convolve(problem, pool: context.pool))
    return [try context.finish(output, as: input.dtype)]
  }

  private func check(_ x: Tensor, _ w: Tensor, _ b: Tensor?) throws(MartletError)
    -> SlidingWindow.Resolved
  {
    guard x.rank == w.rank, x.rank >= 3 else {
      throw .shape(
        "Conv", "ranks of X and W", expected: "equal and at least 3",
        actual: "\(x.rank) and \(w.rank)")
    }
    let (channels, outputs) = (x.shape[1], w.shape[0])
    guard channels % groups == 0, outputs % groups == 0, w.shape[1] == channels / groups else {
      throw .shape(
        "Conv", "W's shape for \(channels) channels in \(groups) groups",
        expected: "[a multiple of \(groups), \(channels / groups), ...]",
        actual: Shape.text(w.shape), input: "W")
    }
    if let b, b.shape != [outputs] {
      throw .shape(
        "Conv", "B", expected: "[\(outputs)]", actual: Shape.text(b.shape), input: "B")
    }
    let kernel = Array(w.shape.dropFirst(2))
    guard (window.kernelShape ?? kernel) == kernel else {
      throw .shape(
        "Conv", "kernel_shape", expected: "W's \(Shape.text(kernel))",
        actual: Shape.text(window.kernelShape ?? []), input: "kernel_shape")
    }
    return try window.resolve(input: Array(x.shape.dropFirst(2)), kernel: kernel)
  }
}
