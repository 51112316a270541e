import MartletBackends
import MartletCore

/// y = DequantizeLinear(a) @ DequantizeLinear(b), summed in integers: y = (a - a_zero_point) @
/// (b - b_zero_point) * (a_scale * b_scale), sums exact in int32, the factor and its product with the
/// sum rounded to float32. What the pass of quantised products makes; Martlet's own.
///
/// a [..., M, K], b [..., K, N]: int8 or uint8 each, K at most `mostTerms`; a's parameters per tensor,
/// b's per tensor or column. Complexity: 2·M·N·K integer operations per matrix.
package struct DequantizedMatMul: PreparingOperator, MartletOperator {
  package static let schema = OperatorSchema(
    name: "DequantizedMatMul", domain: OperatorID.martletDomain,
    inputs: ["a", "a_scale", "a_zero_point", "b", "b_scale", "b_zero_point"], outputs: ["y"])

  /// 255 * 255 * this is below 2^31.
  package static let mostTerms = 1 << 15

  private let weight: PackedIntegerWeight?

  package init(_ node: OperatorNode) throws(MartletError) {
    weight = node.constant(3).map { _ in PackedIntegerWeight(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try IntegerMatrixProduct.infer(
      inputs.type(0), inputs.type(3), .float32, operatorName: Self.schema.name)
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    try weight.prepare(inputs.type(3)?.constant, input: 3, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.byte(0)
    let b = try inputs.byte(3)
    let product = try IntegerMatrixProduct(Self.schema.name, a, b)
    guard product.k <= Self.mostTerms else {
      throw .shape(
        Self.schema.name, "K", expected: "at most \(Self.mostTerms)", actual: "\(product.k)")
    }
    var terms = IntegerMatrixProduct.Terms()
    terms.lhsZero = try product.values(
      try inputs.required(2, like: a.dtype), .rows, .int32, "a_zero_point", context)
    terms.rhsZero = try product.values(
      try inputs.required(5, like: b.dtype), .columns, .int32, "b_zero_point", context)
    terms.scale = try inputs.scale(1)
    let scale = try inputs.float(4)
    if scale.count == 1 {
      terms.scale *= try inputs.scale(4)
    } else {
      terms.columnScale = try product.values(scale, .columns, .float32, "b_scale", context)
    }
    let output = try context.output(0, .float32, product.shape)
    try product.run(into: output, terms, weight: weight, context)
    context.deliver(output)
  }

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    let operands = [0, 3].map { first in
      // DequantizeLinear wants a zero point of the scale's shape.
      let shape = body.add("Shape", [body.input(first + 1)])
      let zero = body.add("Expand", [body.input(first + 2), shape])
      return body.add(
        "DequantizeLinear", [body.input(first), body.input(first + 1), zero], ["axis": .int(-1)])
    }
    body.outputs = [body.add("MatMul", operands)]
    return body
  }
}
