import MartletBackends
import MartletCore

/// y = saturate(round((conv(x - x_zero_point, w - w_zero_point) + B) * (x_scale * w_scale / y_scale)) +
/// y_zero_point): sums exact in int32, the factor and its product with the sum in float32, half to even.
///
/// x [N, C, ...], w [M, C / group, ...], y: int8 or uint8 each; B [M] int32; w's scale and zero point
/// per tensor or output channel. Complexity: 2·N·M·(C/group)·taps·pixels integer operations.
/// Source: ONNX QLinearConv-10.
package struct QLinearConv: Operator {
  package static let schema = OperatorSchema(
    name: "QLinearConv",
    inputs: [
      "x", "x_scale", "x_zero_point", "w", "w_scale", "w_zero_point", "y_scale", "y_zero_point",
      "B",
    ], requiredInputs: 8, outputs: ["y"], attributes: ConvolutionShape.attributes)

  private let shape: ConvolutionShape

  package init(_ node: OperatorNode) throws(MartletError) {
    shape = try ConvolutionShape(node.attributes, x: "x", w: "w")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try shape.infer(inputs.type(0), inputs.type(3), inputs.type(7)?.dtype)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try context.contiguous(try inputs.byte(0))
    let w = try context.contiguous(try inputs.byte(3))
    let channels = w.rank > 0 ? w.shape[0] : 0
    let extents = try shape.resolve(x.shape, w.shape)
    _ = try inputs.required(2, like: x.dtype)
    let zero = try inputs.required(5, like: w.dtype)
    let scale = try inputs.float(4)
    try shape.perChannel(zero, channels, "w_zero_point")
    try shape.perChannel(scale, channels, "w_scale")
    let zeros = try context.dense(zero, .int32)
    let weightScales = try context.dense(scale, .float32)
    let bias = try inputs.optional(8, like: .int32).map { bias throws(MartletError) in
      guard bias.shape == [channels] else {
        throw .shape(
          "QLinearConv", "B", expected: "[\(channels)]", actual: Shape.text(bias.shape),
          input: "B")
      }
      return try context.contiguous(bias)
    }
    let output = try context.output(0, try inputs.byte(7).dtype, extents.shape)
    var problem = IntegerConvolution(extents.geometry, src: x, weights: w, dst: output)
    problem.srcZero = Int32(try inputs.integer(2))
    let zeroPointer = UnsafePointer(zeros.typed(Int32.self))
    problem.weightZero = zeros.count == 1 ? .one(zeroPointer.pointee) : .each(zeroPointer)
    problem.epilogue.rowBias = bias.map { UnsafePointer($0.typed(Int32.self)) }
    problem.epilogue.zero = Int32(try inputs.integer(7))
    let (xScale, yScale) = (try inputs.scale(1), try inputs.scale(6))
    let factors = try context.scratch(.float32, weightScales.shape)
    let factor = factors.typed(Float.self)
    for index in 0..<factors.count {
      factor[index] = xScale * weightScales.typed(Float.self)[index] / yScale
    }
    if factors.count == 1 {
      problem.epilogue.scale = factor.pointee
    } else {
      problem.epilogue.rowScale = UnsafePointer(factor)
    }
    context.note(try Backends.convolve(problem, pool: context.pool))
    context.deliver(output)
  }
}
