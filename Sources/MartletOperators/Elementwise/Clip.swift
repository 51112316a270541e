import MartletBackends
import MartletCore

/// min(max(input, min), max) with scalar bounds, each of which may be absent; NaN is kept. Where min
/// exceeds max the result is max. Source: ONNX Clip-13.
package struct Clip: Operator {
  package static let schema = OperatorSchema(
    name: "Clip", inputs: ["input", "min", "max"], requiredInputs: 1,
    traits: [.elementwise, .inPlace(with: [0]), .view(of: 0)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0, { $0 != .bool }, "a number type")
    let bounds = [
      try inputs.optional(1, like: input.dtype), try inputs.optional(2, like: input.dtype),
    ]
    for (index, bound) in bounds.enumerated() {
      if let bound, bound.count != 1 {
        throw .shape(
          "Clip", "\(inputs.name(index + 1)) must be one number", expected: "1 element",
          actual: "\(bound.count) elements", input: inputs.name(index + 1))
      }
    }
    if bounds[0] == nil && bounds[1] == nil { return context.deliver(input) }
    let output = try context.output(0, input.dtype, input.shape)
    let workspace = context.workspace
    if input.dtype.isFloatingPoint && input.dtype != .float64 {
      let low = bounds[0] == nil ? -Float.infinity : Float(try inputs.number(1))
      let high = bounds[1] == nil ? Float.infinity : Float(try inputs.number(2))
      try Elementwise.unary(.clamp(low, high), input, into: output, workspace)
      return context.deliver(output)
    }
    var current = input
    if let low = bounds[0] {
      try Elementwise.binary(.max, current, try low.reshaped([]), into: output, workspace)
      current = output
    }
    if let high = bounds[1] {
      try Elementwise.binary(.min, current, try high.reshaped([]), into: output, workspace)
    }
    context.deliver(output)
  }
}
