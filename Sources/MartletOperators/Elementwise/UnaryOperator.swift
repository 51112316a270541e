import MartletBackends
import MartletCore

/// An operator that applies one function to each element of its input.
///
/// The output has the input's shape and dtype. f32 runs vector kernels, 16-bit floats are computed
/// in float32 and rounded once, f64 uses the C library.
package protocol UnaryOperator: Operator {
  var function: UnaryFunction { get }
  /// Whether integers are taken too.
  static var takesIntegers: Bool { get }
}

extension UnaryOperator {
  package static var takesIntegers: Bool { false }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0) else { return [.unknown()] }
    return [ValueType(dtype: input.dtype, shape: input.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(
      0, { $0.isFloatingPoint || (Self.takesIntegers && $0.isInteger) },
      Self.takesIntegers ? "a number type" : "a floating-point type")
    let output = try context.output(0, input.dtype, input.shape)
    try Elementwise.unary(function, input, into: output, context.workspace)
    context.deliver(output)
  }

  package func call(_ inputs: Inputs, into place: Tensor) -> KernelCall? {
    inputs.optional(0).flatMap { Elementwise.call(function, $0, into: place) }
  }
}

extension OperatorSchema {
  /// One input, one output.
  static func unary(
    _ name: String, domain: String = "", attributes: [String: String] = [:],
    traits: OperatorTraits = [.elementwise, .inPlace(with: [0])]
  ) -> OperatorSchema {
    OperatorSchema(
      name: name, domain: domain, inputs: ["X"], outputs: ["Y"], attributes: attributes,
      traits: traits)
  }
}
