import MartletBackends
import MartletCore

/// Matrix product with NumPy's rules: [..., M, K] by [..., K, N] with broadcast batches; a vector is
/// a row on the left and a column on the right.
///
/// Complexity: 2·M·N·K floating-point operations per matrix. Source: ONNX MatMul-13.
package struct MatMul: SharingOperator {
  package static let schema = OperatorSchema(
    name: "MatMul", inputs: ["A", "B"], outputs: ["Y"],
    traits: [.anyAddress(inputs: [1]), .epilogue(FusedMatMul.slots)])

  package let work: BroadcastProduct

  var weight: PackedWeight? { work.weight }

  init() { work = BroadcastProduct(Self.schema.name) }

  package init(_ node: OperatorNode) throws(MartletError) { work = BroadcastProduct(node) }

}
