import MartletBackends
import MartletCore

/// Y = activation(alpha * A' @ B' + beta * C + residual) for matrices, C and residual broadcast to Y.
/// Martlet's own.
///
/// Complexity: 2·M·N·K floating-point operations.
package struct FusedGemm: SharingOperator, MartletOperator {
  package static let schema = OperatorSchema(
    name: "FusedGemm", domain: OperatorID.martletDomain, inputs: ["A", "B", "C", "residual"],
    requiredInputs: 2, outputs: ["Y"],
    attributes: FusedActivation.attributes.merging(GemmProduct.attributes) { first, _ in first },
    traits: [.anyAddress(inputs: [1]), .epilogue(slots)])

  static let slots = EpilogueSlots(
    form: .martlet("FusedGemm"), columnBias: 2, biasFactor: "beta")

  package let work: GemmProduct
  private let activation: FusedActivation?
  /// Those that Gemm has.
  private let attributes: [String: AttributeValue]

  package init(_ node: OperatorNode) throws(MartletError) {
    var product = try GemmProduct(node)
    activation = try FusedActivation(node.attributes)
    product.activation = activation?.function
    work = product
    attributes = node.attributes.values.filter { Gemm.schema.attributes[$0.key] != nil }
  }

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    let product = body.add("Gemm", (0...2).map(body.input), attributes)
    let y = body.adding(3...3, to: product)
    body.outputs = [activation?.decompose(y, into: &body) ?? y]
    return body
  }
}
