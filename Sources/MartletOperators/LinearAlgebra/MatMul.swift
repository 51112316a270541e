import MartletBackends
import MartletCore

/// Matrix product with NumPy's rules: [..., M, K] by [..., K, N] with broadcast batches; a vector is
/// a row on the left and a column on the right.
///
/// Complexity: 2·M·N·K floating-point operations per matrix. Source: ONNX MatMul-13.
package struct MatMul: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "MatMul", inputs: ["A", "B"], outputs: ["Y"],
    traits: [.anyAddress(inputs: [1]), .epilogue(FusedMatMul.slots)])

  private let product: BroadcastProduct

  var weight: PackedWeight? { product.weight }

  init() { product = BroadcastProduct(Self.schema.name) }

  package init(_ node: OperatorNode) throws(MartletError) { product = BroadcastProduct(node) }

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
