import MartletBackends
import MartletCore

/// The determinants of matrices X [..., M, M], by elimination in float64 with the pivot of greatest
/// magnitude. Source: ONNX Det-22.
package struct Det: Operator {
  package static let schema = OperatorSchema(name: "Det", inputs: ["X"], outputs: ["Y"])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shape = inputs.type(0)?.shape
    if let shape {
      guard shape.count >= 2 else { throw error("rank \(shape.count)") }
      if case (.known(let rows), .known(let columns)) = (
        shape[shape.count - 2], shape[shape.count - 1]
      ), rows != columns {
        throw error(Inference.text(shape))
      }
    }
    return [ValueType(dtype: inputs.type(0)?.dtype, shape: shape.map { Array($0.dropLast(2)) })]
  }

  private func error(_ actual: String) -> MartletError {
    .shape("Det", "X", expected: "[..., M, M]", actual: actual, input: "X")
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    guard x.rank >= 2, x.shape[x.rank - 1] == x.shape[x.rank - 2] else {
      throw error(Shape.text(x.shape))
    }
    let shape = Array(x.shape.dropLast(2))
    // Eliminated in place, so never x itself.
    let matrices = try context.scratch(.float64, x.shape)
    try Casting.cast(x, into: matrices, context.workspace)
    let result =
      try x.dtype == .float64
      ? context.output(0, .float64, shape) : context.scratch(.float64, shape)
    Elimination.determinants(
      matrices, order: x.shape[x.rank - 1], into: result, pool: context.pool)
    context.deliver(try context.finish(result, as: x.dtype))
  }
}
