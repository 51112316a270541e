import MartletBackends
import MartletCore

/// X where the condition holds, Y elsewhere; all three broadcast. Source: ONNX Where-16.
package struct Where: Operator {
  package static let schema = OperatorSchema(
    name: "Where", inputs: ["condition", "X", "Y"],
    traits: [.anyElement, .elementwise, .inPlace(with: [0, 1, 2])])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let (condition, x, y) = (inputs.type(0), inputs.type(1), inputs.type(2))
    let values = try Inference.broadcast(x?.shape, y?.shape, operatorName: "Where")
    let shape = try Inference.broadcast(condition?.shape, values, operatorName: "Where")
    var result = ValueType(dtype: x?.dtype ?? y?.dtype, shape: shape)
    if let c = condition?.knownElements, let a = x?.knownElements, let b = y?.knownElements,
      let shape, shape.count <= 1, let count = [c.count, a.count, b.count].max(),
      [c.count, a.count, b.count].allSatisfy({ $0 == count || $0 == 1 })
    {
      result.elements = (0..<count).map { index in
        let (p, q) = (a[a.count == 1 ? 0 : index], b[b.count == 1 ? 0 : index])
        switch c[c.count == 1 ? 0 : index] {
        case .known(0): return q
        case .known: return p
        default: return p == q ? p : .unknown
        }
      }
    }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let condition = try inputs.required(0, like: .bool)
    let x = try inputs.required(1)
    let y = try inputs.required(2, like: x.dtype)
    let output = try context.output(0, x.dtype, try inputs.broadcastShape(0..<3))
    try Elementwise.select(condition, x, y, into: output, context.workspace)
    context.deliver(output)
  }
}
