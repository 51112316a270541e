import MartletBackends
import MartletCore

/// X to the power Y, in X's dtype; Y may have any number type. Source: ONNX Pow-15.
///
/// Integer powers wrap; a negative exponent truncates to zero but for bases 1 and -1. Scalar
/// exponents of 2 and 3 multiply, of 1 copy.
package struct Pow: Operator {
  package static let schema = OperatorSchema(
    name: "Pow", inputs: ["X", "Y"], outputs: ["Z"],
    // Not with X, which a cube reads a second time.
    traits: [.elementwise, .inPlace(with: [1])])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var result = try Inference.binary(inputs, operatorName: "Pow") { _, _ in .unknown }
    result.dtype = inputs.type(0)?.dtype
    result.elements = nil
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let base = try inputs.required(0, { $0 != .bool }, "a number type")
    let exponent = try inputs.required(1, { $0 != .bool }, "a number type")
    let dtype = base.dtype
    let output = try context.output(0, dtype, try inputs.broadcastShape(0..<2))
    let workspace = context.workspace
    if exponent.count == 1, dtype.isFloatingPoint, output.shape == base.shape {
      switch try inputs.number(1) {
      case 1:
        Copying.copy(base, into: output, workspace)
        return context.deliver(output)
      case 2:
        try Elementwise.binary(.mul, base, base, into: output, workspace)
        return context.deliver(output)
      case 3 where dtype.hasElementType:
        try Elementwise.binary(.mul, base, base, into: output, workspace)
        try Elementwise.binary(.mul, output, base, into: output, workspace)
        return context.deliver(output)
      default: break
      }
    }
    if dtype.isInteger && exponent.dtype.isFloatingPoint {
      let wide = try context.scratch(.float64, output.shape)
      try Elementwise.binary(
        .pow, try context.converted(base, to: .float64),
        try context.converted(exponent, to: .float64), into: wide, workspace)
      try Casting.cast(wide, into: output, workspace)
    } else {
      let power = try context.converted(exponent, to: dtype)
      try Elementwise.binary(.pow, base, power, into: output, workspace)
    }
    context.deliver(output)
  }
}
