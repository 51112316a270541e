import MartletBackends
import MartletCore

/// The distance of each row of A [M, K] to each of B [N, K], [M, N]: the sum of squared differences, or
/// its root. Source: com.microsoft CDist of ONNX Runtime 1.32.
package struct CDist: Operator {
  package static let schema = OperatorSchema(
    name: "CDist", domain: OperatorID.microsoftDomain, inputs: ["A", "B"], outputs: ["C"],
    attributes: ["metric": "euclidean or sqeuclidean, sqeuclidean"])
  private let takesRoot: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    let metric = try node.attributes.string("metric", default: "sqeuclidean")
    guard ["euclidean", "sqeuclidean"].contains(metric) else {
      throw MartletError(
        .unsupported, "\(Self.schema.name): the metric '\(metric)' is not supported",
        operatorName: Self.schema.name, input: "metric", expected: "euclidean or sqeuclidean",
        actual: metric)
    }
    takesRoot = metric == "euclidean"
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let (a, b) = (inputs.type(0)?.shape, inputs.type(1)?.shape)
    return [
      ValueType(dtype: inputs.type(0)?.dtype, shape: [a?.first ?? .unknown, b?.first ?? .unknown])
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.required(
      0, { $0 == .float32 || $0 == .float64 }, "float32 or float64")
    let b = try inputs.required(1, like: a.dtype)
    guard a.rank == 2 else {
      throw .shape(
        Self.schema.name, "A", expected: "[M, K]", actual: Shape.text(a.shape), input: "A")
    }
    guard b.rank == 2, b.shape[1] == a.shape[1] else {
      throw .shape(
        Self.schema.name, "B", expected: "[N, \(a.shape[1])]", actual: Shape.text(b.shape),
        input: "B")
    }
    let output = try context.output(0, a.dtype, [a.shape[0], b.shape[0]])
    guard output.count > 0 else { return context.deliver(output) }
    PairDistances.squared(
      try context.contiguous(a), try context.contiguous(b), takesRoot: takesRoot, into: output,
      context.workspace)
    context.deliver(output)
  }
}
