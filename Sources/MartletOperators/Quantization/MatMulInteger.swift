import MartletBackends
import MartletCore

/// Y = (A - a_zero_point) @ (B - b_zero_point) in int32, exact modulo 2^32.
///
/// A [..., M, K], B [..., K, N]: int8 or uint8 each; zero points of A per tensor or row, of B per
/// tensor or column. Complexity: 2·M·N·K integer operations per matrix.
/// Source: ONNX MatMulInteger-10.
package struct MatMulInteger: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "MatMulInteger", inputs: ["A", "B", "a_zero_point", "b_zero_point"], requiredInputs: 2,
    outputs: ["Y"])

  private let weight: PackedIntegerWeight?

  package init(_ node: OperatorNode) throws(MartletError) {
    weight = node.constant(1).map { _ in PackedIntegerWeight(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try IntegerMatrixProduct.infer(
      inputs.type(0), inputs.type(1), .int32, operatorName: "MatMulInteger")
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    try weight.prepare(inputs.type(1)?.constant, input: 1, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.byte(0)
    let b = try inputs.byte(1)
    let product = try IntegerMatrixProduct("MatMulInteger", a, b)
    var terms = IntegerMatrixProduct.Terms()
    terms.lhsZero = try inputs.optional(2, like: a.dtype).map { zero throws(MartletError) in
      try product.values(zero, .rows, .int32, "a_zero_point", context)
    }
    terms.rhsZero = try inputs.optional(3, like: b.dtype).map { zero throws(MartletError) in
      try product.values(zero, .columns, .int32, "b_zero_point", context)
    }
    let output = try context.output(0, .int32, product.shape)
    try product.run(into: output, terms, weight: weight, context)
    context.deliver(output)
  }
}
