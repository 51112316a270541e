import MartletBackends
import MartletCore

/// Convolution over one to three spatial axes: X [N, C, ...], W [M, C / group, ...], B [M].
///
/// Complexity: 2·N·M·(C/group)·taps·pixels floating-point operations. Source: ONNX Conv-22.
package struct Conv: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "Conv", inputs: ["X", "W", "B"], requiredInputs: 2, outputs: ["Y"],
    attributes: FloatConvolution.attributes,
    traits: [.anyAddress(inputs: [1]), .epilogue(FusedConv.slots)])

  private let convolution: FloatConvolution

  package init(_ node: OperatorNode) throws(MartletError) {
    convolution = try FloatConvolution(node)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try convolution.infer(inputs)
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    try convolution.prepare(inputs, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    try convolution.run(inputs, context)
  }

  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? {
    convolution.bind(inputs, into: place, preparation)
  }
}
