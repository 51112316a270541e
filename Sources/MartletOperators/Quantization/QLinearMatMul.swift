import MartletBackends
import MartletCore

/// y = saturate(round((a - a_zero_point) @ (b - b_zero_point) * (a_scale * b_scale / y_scale)) +
/// y_zero_point): sums exact in int32, the factor and its product with the sum in float32, half to even.
///
/// a [..., M, K], b [..., K, N], y: int8 or uint8 each; a's parameters per tensor or row, b's per tensor
/// or column, y's per tensor. Complexity: 2·M·N·K integer operations per matrix.
/// Source: ONNX QLinearMatMul-21 (without 8-bit floats).
package struct QLinearMatMul: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "QLinearMatMul",
    inputs: [
      "a", "a_scale", "a_zero_point", "b", "b_scale", "b_zero_point", "y_scale", "y_zero_point",
    ], outputs: ["y"])

  private let weight: PackedIntegerWeight?

  package init(_ node: OperatorNode) throws(MartletError) {
    weight = node.constant(3).map { _ in PackedIntegerWeight(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try IntegerMatrixProduct.infer(
      inputs.type(0), inputs.type(3), inputs.type(7)?.dtype, operatorName: "QLinearMatMul")
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    try weight.prepare(inputs.type(3)?.constant, input: 3, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.byte(0)
    let b = try inputs.byte(3)
    let yZero = try inputs.byte(7)
    let product = try IntegerMatrixProduct("QLinearMatMul", a, b)
    var terms = IntegerMatrixProduct.Terms()
    terms.lhsZero = try product.values(
      try inputs.required(2, like: a.dtype), .rows, .int32, "a_zero_point", context)
    terms.rhsZero = try product.values(
      try inputs.required(5, like: b.dtype), .columns, .int32, "b_zero_point", context)
    terms.zero = Int32(try inputs.integer(7))
    let yScale = try inputs.scale(6)
    let aScale = try inputs.float(1)
    let bScale = try inputs.float(4)
    if aScale.count == 1, bScale.count == 1 {
      terms.scale = try inputs.scale(1) * inputs.scale(4) / yScale
    } else if aScale.count == 1 {
      let factor = try inputs.scale(1)
      terms.columnScale = try product.values(
        try scaled(bScale, context) { factor * $0 / yScale }, .columns, .float32, "b_scale",
        context)
    } else {
      terms.rowScale = try product.values(aScale, .rows, .float32, "a_scale", context)
      let factors = try scaled(bScale, context) { $0 / yScale }
      if bScale.count == 1 {
        terms.scale = factors.typed(Float.self).pointee
      } else {
        terms.columnScale = try product.values(factors, .columns, .float32, "b_scale", context)
      }
    }
    let output = try context.output(0, yZero.dtype, product.shape)
    try product.run(into: output, terms, weight: weight, context)
    context.deliver(output)
  }

  private func scaled(
    _ tensor: Tensor, _ context: RunContext, _ function: (Float) -> Float
  ) throws(MartletError) -> Tensor {
    let source = try context.dense(tensor, .float32)
    let result = try context.scratch(.float32, tensor.shape)
    for index in 0..<source.count {
      result.typed(Float.self)[index] = function(source.typed(Float.self)[index])
    }
    return result
  }
}
