import MartletBackends
import MartletCore

/// y = conv(x - x_zero_point, w - w_zero_point) in int32, exact modulo 2^32; padding counts as
/// x_zero_point, that is as 0.
///
/// x [N, C, ...], w [M, C / group, ...]: int8 or uint8 each; w's zero point per tensor or output
/// channel. Complexity: 2·N·M·(C/group)·taps·pixels integer operations.
/// Source: ONNX ConvInteger-10.
package struct ConvInteger: Operator {
  package static let schema = OperatorSchema(
    name: "ConvInteger", inputs: ["x", "w", "x_zero_point", "w_zero_point"], requiredInputs: 2,
    outputs: ["y"], attributes: ConvolutionShape.attributes)

  private let shape: ConvolutionShape

  package init(_ node: OperatorNode) throws(MartletError) {
    shape = try ConvolutionShape(node.attributes, x: "x", w: "w")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try shape.infer(inputs.type(0), inputs.type(1), .int32)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try context.contiguous(try inputs.byte(0))
    let w = try context.contiguous(try inputs.byte(1))
    let extents = try shape.resolve(x.shape, w.shape)
    let output = try context.output(0, .int32, extents.shape)
    var problem = IntegerConvolution(extents.geometry, src: x, weights: w, dst: output)
    if try inputs.optional(2, like: x.dtype) != nil {
      problem.srcZero = Int32(try inputs.integer(2))
    }
    if let zero = try inputs.optional(3, like: w.dtype) {
      try shape.perChannel(zero, w.shape[0], "w_zero_point")
      let values = try context.dense(zero, .int32)
      let pointer = UnsafePointer(values.typed(Int32.self))
      problem.weightZero = values.count == 1 ? .one(pointer.pointee) : .each(pointer)
    }
    context.note(try Backends.convolve(problem, pool: context.pool))
    context.deliver(output)
  }
}
