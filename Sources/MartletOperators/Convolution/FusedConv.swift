import MartletBackends
import MartletCore

/// Y = activation(Conv(X, W, B) + residual), the residual of Y's shape. Martlet's own.
///
/// Complexity: 2·N·M·(C/group)·taps·pixels floating-point operations.
package struct FusedConv: PreparingOperator, MartletOperator {
  package static let schema = OperatorSchema(
    name: "FusedConv", domain: OperatorID.martletDomain, inputs: ["X", "W", "B", "residual"],
    requiredInputs: 2, outputs: ["Y"],
    attributes: FusedActivation.attributes.merging(FloatConvolution.attributes) { first, _ in
      first
    }, traits: [.anyAddress(inputs: [1]), .epilogue(slots)])

  static let slots = EpilogueSlots(form: .martlet("FusedConv"))

  private let convolution: FloatConvolution
  private let activation: FusedActivation?
  /// Those that Conv has.
  private let attributes: [String: AttributeValue]

  package init(_ node: OperatorNode) throws(MartletError) {
    var convolution = try FloatConvolution(node)
    activation = try FusedActivation(node.attributes)
    convolution.activation = activation?.function
    self.convolution = convolution
    attributes = node.attributes.values.filter { Conv.schema.attributes[$0.key] != nil }
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

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    let product = body.add("Conv", (0...2).map(body.input), attributes)
    let y = body.adding(3...3, to: product)
    body.outputs = [activation?.decompose(y, into: &body) ?? y]
    return body
  }
}
