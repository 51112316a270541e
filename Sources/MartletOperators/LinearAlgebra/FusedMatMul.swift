import MartletBackends
import MartletCore

/// Y = activation(alpha * A @ B + bias + residual), the product with MatMul's rules. Martlet's own.
///
/// bias and residual broadcast to the product. Complexity: 2·M·N·K floating-point operations per
/// matrix.
package struct FusedMatMul: SharingOperator, MartletOperator {
  package static let schema = OperatorSchema(
    name: "FusedMatMul", domain: OperatorID.martletDomain,
    inputs: ["A", "B", "bias", "residual"], requiredInputs: 2, outputs: ["Y"],
    attributes: FusedActivation.attributes.merging([
      "alpha": "A factor of the product (1).",
      "trans_a": "Whether A's last two axes are swapped (0).",
      "trans_b": "Whether B's last two axes are swapped (0).",
    ]) { first, _ in first }, traits: [.anyAddress(inputs: [1]), .epilogue(slots)])

  static let slots = EpilogueSlots(
    form: .martlet("FusedMatMul"), factor: "alpha", columnBias: 2, broadcastsResidual: true)

  package let work: BroadcastProduct
  private let activation: FusedActivation?

  package init(_ node: OperatorNode) throws(MartletError) {
    var product = BroadcastProduct(node)
    activation = try FusedActivation(node.attributes)
    product.alpha = try node.attributes.float("alpha", default: 1)
    product.transposesA = try node.attributes.bool("trans_a", default: false)
    product.transposesB = try node.attributes.bool("trans_b", default: false)
    product.activation = activation?.function
    work = product
  }

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    var operands = [body.input(0), body.input(1)]
    for (index, isTransposed) in [work.transposesA, work.transposesB].enumerated() {
      // A vector has no axes to swap.
      guard isTransposed, inputs.type(index)?.shape?.count != 1, let operand = operands[index]
      else { continue }
      operands[index] = body.matrixTransposed(operand)
    }
    var y = body.add("MatMul", operands)
    if work.alpha != 1 { y = body.add("Mul", [y, body.scalar(work.alpha, like: y)]) }
    y = body.adding(2...3, to: y)
    body.outputs = [activation?.decompose(y, into: &body) ?? y]
    return body
  }
}
