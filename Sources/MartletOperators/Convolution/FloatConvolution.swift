import MartletBackends
import MartletCore

/// What Conv and FusedConv have in common: Y = activation(conv(X, W) + B + residual), X, W, B and
/// residual inputs 0 to 3, where the operator has them.
///
/// f32 runs the native kernels in the mode's precision, 16-bit floats the same in f32 with one
/// rounding at the end, f64 plain loops.
package struct FloatConvolution: SharedWork {
  static let attributes = ConvolutionShape.attributes

  private let operatorName: String
  private let shape: ConvolutionShape
  var activation: UnaryFunction?
  private let constant: ConstantWeights?

  init(_ node: OperatorNode) throws(MartletError) {
    operatorName = node.attributes.operatorName
    shape = try ConvolutionShape(node.attributes, x: "X", w: "W")
    constant = node.constant(1).map { _ in ConstantWeights(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try shape.infer(inputs.type(0), inputs.type(1), inputs.type(0)?.dtype)
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    guard let constant, let weight = inputs.type(1)?.constant, weight.dtype == .float32,
      weight.isContiguous, weight.count > 0, let x = inputs.type(0)?.shape, x.count == weight.rank
    else { return [] }
    // Forms do not depend on the batch; they may on the image, which must be known.
    var image = [1]
    for dimension in x.dropFirst() {
      guard case .known(let extent) = dimension else { return [] }
      image.append(extent)
    }
    let extents = try shape.resolve(image, weight.shape)
    if extents.isEmpty { return [] }
    let pointer = weight.typed(Float.self)
    var problem = ConvolutionProblem(
      extents.geometry, src: pointer, weights: pointer, dst: pointer, mode: preparation.mode)
    problem.permitsWinograd = preparation.options.permitsWinograd
    return try constant.prepare(&problem, weight, preparation.pool) ? [1] : []
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let weight = try inputs.required(1, like: input.dtype)
    let bias = try inputs.optional(2, like: input.dtype)
    let extents = try check(inputs, input, weight, bias)
    let shape = extents.shape
    if extents.isEmpty { return context.deliver(try context.output(0, input.dtype, shape)) }
    let type: DType = input.dtype == .float64 ? .float64 : .float32
    let x = try context.contiguous(try context.converted(input, to: type))
    let w = try context.contiguous(try context.converted(weight, to: type))
    let b = try bias.map { tensor throws(MartletError) in
      try context.contiguous(try context.converted(tensor, to: type))
    }
    let residual = try inputs.optional(3).map { tensor throws(MartletError) in
      guard tensor.shape == shape else {
        throw .shape(
          operatorName, "residual", expected: Shape.text(shape), actual: Shape.text(tensor.shape),
          input: "residual")
      }
      return try context.contiguous(try context.converted(tensor, to: type))
    }
    let output =
      try input.dtype == type ? context.output(0, type, shape) : context.scratch(type, shape)
    var problem = ConvolutionProblem(
      extents.geometry, src: x.typed(Float.self), weights: w.typed(Float.self),
      dst: output.typed(Float.self), mode: context.mode)
    if type == .float64 {
      let plain = PlainConvolution(
        extents.geometry, src: x.typed(Double.self), weights: w.typed(Double.self),
        bias: b.map { UnsafePointer($0.typed(Double.self)) }, dst: output.typed(Double.self))
      context.note(try plain.run(on: context.pool))
      if let residual {
        try Elementwise.binary(.add, output, residual, into: output, context.workspace)
      }
      if let activation {
        try Elementwise.unary(activation, output, into: output, context.workspace)
      }
      return context.deliver(output)
    }
    problem.bias = b.map { UnsafePointer($0.typed(Float.self)) }
    problem.residual = residual.map { UnsafePointer($0.typed(Float.self)) }
    problem.activation = activation
    problem.permitsWinograd = context.options.permitsWinograd
    if input.dtype == .float32 { try constant?.prepare(&problem, weight, context.pool) }
    context.note(try Backends.convolve(problem, pool: context.pool))
    context.deliver(try context.finish(output, as: input.dtype))
  }

  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? {
    // Weights of a run may have to be rounded in it.
    guard let constant, let x = inputs.optional(0), let w = inputs.optional(1),
      place.dtype == .float32,
      let extents = try? check(inputs, x, w, inputs.optional(2)), !extents.isEmpty,
      place.shape == extents.shape
    else { return nil }
    for index in 0..<inputs.count {
      guard let tensor = inputs.optional(index) else { continue }
      guard tensor.dtype == .float32, tensor.isContiguous, index != 3 || tensor.shape == place.shape
      else { return nil }
    }
    var problem = ConvolutionProblem(
      extents.geometry, src: x.typed(Float.self), weights: w.typed(Float.self),
      dst: place.typed(Float.self), mode: preparation.mode)
    problem.bias = inputs.optional(2).map { UnsafePointer($0.typed(Float.self)) }
    problem.residual = inputs.optional(3).map { UnsafePointer($0.typed(Float.self)) }
    problem.activation = activation
    problem.permitsWinograd = preparation.options.permitsWinograd
    do throws(MartletError) {
      try constant.prepare(&problem, w, preparation.pool)
      return try Backends.bind(problem, pool: preparation.pool)
    } catch {
      // The run itself says what is wrong.
      return nil
    }
  }

  /// The extents of a run; those of the run before where its shapes were the same.
  private func check(
    _ inputs: Inputs, _ x: Tensor, _ w: Tensor, _ b: Tensor?
  ) throws(MartletError) -> ConvolutionExtents {
    let current: ConvolutionExtents
    if let last = inputs.kept as? ConvolutionExtents, last.source == x.shape,
      last.weights == w.shape
    {
      current = last
    } else {
      current = try shape.resolve(x.shape, w.shape)
      inputs.kept = current
    }
    if let b, b.rank != 1 || b.shape[0] != current.shape[1] {
      throw .shape(
        operatorName, "B", expected: "[\(current.shape[1])]", actual: Shape.text(b.shape),
        input: "B")
    }
    return current
  }
}
