import MartletBackends
import MartletCore

/// An operator that reduces all spatial axes of X [N, C, ...] to extent 1. Floats.
package protocol GlobalPool: Operator {
  static var function: ReduceFunction { get }
}

extension GlobalPool {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shape = inputs.type(0)?.shape
    if let shape { try Self.checkRank(shape.count) }
    return [
      ValueType(
        dtype: inputs.type(0)?.dtype,
        shape: shape.map { shape in
          shape.indices.map { $0 < 2 ? shape[$0] : .known(1) }
        })
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    try Self.checkRank(input.rank)
    let shape = input.shape.indices.map { $0 < 2 ? input.shape[$0] : 1 }
    let type = input.dtype.computeType
    let source = try context.converted(input, to: type)
    let result =
      try type == input.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    try Reduction.reduce(
      Self.function, source, axes: Set(2..<input.rank), into: result, context.workspace)
    context.deliver(try context.finish(result, as: input.dtype))
  }

  private static func checkRank(_ rank: Int) throws(MartletError) {
    guard rank >= 3 else {
      throw .shape(
        schema.name, "rank of X", expected: "at least 3", actual: "\(rank)", input: "X")
    }
  }
}

/// The mean of each channel's image. Source: ONNX GlobalAveragePool-22.
package struct GlobalAveragePool: GlobalPool {
  package static let schema = OperatorSchema(
    name: "GlobalAveragePool", inputs: ["X"], outputs: ["Y"])
  package static let function = ReduceFunction.mean
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The maximum of each channel's image. Source: ONNX GlobalMaxPool-22.
package struct GlobalMaxPool: GlobalPool {
  package static let schema = OperatorSchema(
    name: "GlobalMaxPool", inputs: ["X"], outputs: ["Y"])
  package static let function = ReduceFunction.max
  package init(_ node: OperatorNode) throws(MartletError) {}
}
