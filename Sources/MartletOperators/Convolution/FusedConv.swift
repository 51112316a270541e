import MartletBackends
import MartletCore

/// Y = activation(Conv(X, W, B) + residual), the residual of Y's shape. Martlet's own.
///
/// Complexity: 2·N·M·(C/group)·taps·pixels floating-point operations.
package struct FusedConv: SharingOperator, MartletOperator {
  package static let schema = OperatorSchema(
    name: "FusedConv", domain: OperatorID.martletDomain, inputs: ["X", "W", "B", "residual"],
    requiredInputs: 2, outputs: ["Y"],
    attributes: FusedActivation.attributes.merging(FloatConvolution.attributes) { first, _ in
      first
    }, traits: [.anyAddress(inputs: [1]), .epilogue(slots)])

  static let slots = EpilogueSlots(form: .martlet("FusedConv"))

  package let work: FloatConvolution
  private let activation: FusedActivation?
  /// Those that Conv has.
  private let attributes: [String: AttributeValue]

  package init(_ node: OperatorNode) throws(MartletError) {
    var convolution = try FloatConvolution(node)
    activation = try FusedActivation(node.attributes)
    convolution.activation = activation?.function
    work = convolution
    attributes = node.attributes.values.filter { Conv.schema.attributes[$0.key] != nil }
  }

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    let product = body.add("Conv", (0...2).map(body.input), attributes)
    let y = body.adding(3...3, to: product)
    body.outputs = [activation?.decompose(y, into: &body) ?? y]
    return body
  }
}
