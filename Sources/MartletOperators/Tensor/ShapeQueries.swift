import MartletBackends
import MartletCore

/// The input's shape from axis `start` up to `end`, int64. Source: ONNX Shape-24.
package struct ShapeOf: Operator {
  package static let schema = OperatorSchema(
    name: "Shape", inputs: ["data"], outputs: ["shape"],
    attributes: ["start": "the first axis, 0", "end": "the axis after the last, rank"],
    traits: [.anyElement, .narrow(.carried)])
  private let start: Int
  private let end: Int?

  package init(_ node: OperatorNode) throws(MartletError) {
    start = try node.attributes.int("start", default: 0)
    end = try node.attributes.optionalInt("end")
  }

  private func range(_ rank: Int) -> Range<Int> {
    func clamp(_ axis: Int) -> Int { min(max(axis < 0 ? max(axis, -rank) + rank : axis, 0), rank) }
    let first = clamp(start)
    return first..<max(first, clamp(end ?? rank))
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let shape = inputs.type(0)?.shape else {
      return [ValueType(dtype: .int64, shape: [.unknown])]
    }
    let part = Array(shape[range(shape.count)])
    return [ValueType(dtype: .int64, shape: Inference.vector(part.count), elements: part)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let part = Array(data.shape[range(data.rank)])
    let output = try context.output(0, .int64, [part.count])
    SmallTensors.write(part, to: output)
    context.deliver(output)
  }
}

/// The input's number of elements, an int64 scalar. Source: ONNX Size-24.
package struct Size: Operator {
  package static let schema = OperatorSchema(
    name: "Size", inputs: ["data"], outputs: ["size"], traits: [.anyElement, .narrow(.carried)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let count = inputs.type(0)?.shape.map { Inference.product($0) }
    return [ValueType(dtype: .int64, shape: [], elements: count.map { [$0] })]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let output = try context.output(0, .int64, [])
    SmallTensors.write([data.count], to: output)
    context.deliver(output)
  }
}
