import MartletBackends
import MartletCore

/// Y = alpha * A' @ B' + beta * C for matrices, C broadcast to Y.
///
/// Complexity: 2·M·N·K floating-point operations. Source: ONNX Gemm-13.
package struct Gemm: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "Gemm", inputs: ["A", "B", "C"], requiredInputs: 2, outputs: ["Y"],
    attributes: GemmProduct.attributes,
    traits: [.anyAddress(inputs: [1]), .epilogue(FusedGemm.slots)])

  private let product: GemmProduct

  package init(_ node: OperatorNode) throws(MartletError) { product = try GemmProduct(node) }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try product.infer(inputs)
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    try product.prepare(inputs, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    try product.run(inputs, context)
  }

  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? {
    product.bind(inputs, into: place, preparation)
  }
}
