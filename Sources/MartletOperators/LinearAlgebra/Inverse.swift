import MartletBackends
import MartletCore

/// The inverses of the matrices [..., n, n], computed in float64 and rounded once; a singular one has
/// infinities or NaN. Complexity: 2·n³ floating-point operations each.
/// Source: com.microsoft Inverse of ONNX Runtime 1.32.
package struct Inverse: Operator {
  package static let schema = OperatorSchema(
    name: "Inverse", domain: OperatorID.microsoftDomain, inputs: ["X"], outputs: ["Y"])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    guard x.rank >= 2, x.shape[x.rank - 1] == x.shape[x.rank - 2] else {
      throw .shape(
        Self.schema.name, "X", expected: "[..., n, n]", actual: Shape.text(x.shape), input: "X")
    }
    let n = x.shape[x.rank - 1]
    let output = try context.output(0, x.dtype, x.shape)
    guard output.count > 0 else { return context.deliver(output) }
    let work = try context.scratch(.float64, x.shape)
    try Casting.cast(x, into: work, context.workspace)
    let result = try context.scratch(.float64, x.shape)
    MatrixInversion.run(
      work.typed(Double.self), count: x.count / (n * n), n: n, into: result.typed(Double.self),
      pool: context.pool)
    try Casting.cast(result, into: output, context.workspace)
    context.deliver(output)
  }
}
