import MartletBackends
import MartletCore

/// Y = alpha * A' @ B' + beta * C for matrices, C broadcast to Y.
///
/// Complexity: 2·M·N·K floating-point operations. Source: ONNX Gemm-13.
package struct Gemm: SharingOperator {
  package static let schema = OperatorSchema(
    name: "Gemm", inputs: ["A", "B", "C"], requiredInputs: 2, outputs: ["Y"],
    attributes: GemmProduct.attributes,
    traits: [.anyAddress(inputs: [1]), .epilogue(FusedGemm.slots)])

  package let work: GemmProduct

  package init(_ node: OperatorNode) throws(MartletError) { work = try GemmProduct(node) }

}
