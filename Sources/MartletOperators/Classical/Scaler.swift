import MartletBackends
import MartletCore

/// (X - offset) * scale for each feature, the last axis; computed in float32 for float32, else in
/// float64, and given as float32. Source: ONNX Scaler-1 (ai.onnx.ml).
package struct Scaler: Operator {
  package static let schema = OperatorSchema(
    name: "Scaler", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "offset": "of each feature, or one for all; 0", "scale": "of each feature, or one for all; 1",
    ])
  private let offset: [Float]
  private let scale: [Float]

  package init(_ node: OperatorNode) throws(MartletError) {
    let offset = try node.attributes.optionalFloats("offset") ?? []
    let scale = try node.attributes.optionalFloats("scale") ?? []
    guard offset.isEmpty || scale.isEmpty || offset.count == scale.count else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): offset has \(offset.count) elements, scale has \(scale.count)",
        operatorName: Self.schema.name, input: "scale", expected: "\(offset.count)",
        actual: "\(scale.count)")
    }
    self.offset = offset.isEmpty ? [Float](repeating: 0, count: max(scale.count, 1)) : offset
    self.scale = scale.isEmpty ? [Float](repeating: 1, count: self.offset.count) : scale
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: .float32, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, FeatureRows.isTaken, FeatureRows.taken)
    let width = x.shape.last ?? 1
    guard offset.count == 1 || offset.count == width else {
      throw .shape(
        Self.schema.name, "X has \(width) features", expected: "\(offset.count) features",
        actual: Shape.text(x.shape), input: "X")
    }
    let output = try context.output(0, .float32, x.shape)
    if x.dtype == .float32 {
      try run(try context.contiguous(x), output, width, context, Float.self) { $0 }
    } else {
      let wide = try context.contiguous(try context.converted(x, to: .float64))
      try run(wide, output, width, context, Double.self) { Float($0) }
    }
    context.deliver(output)
  }

  private func run<T: RealElement>(
    _ x: Tensor, _ output: Tensor, _ width: Int, _ context: RunContext, _: T.Type,
    _ rounded: (T) -> Float
  ) throws(MartletError) {
    guard x.count > 0 else { return }
    let (source, results) = (x.typed(T.self), output.typed(Float.self))
    let offsets =
      width == offset.count ? offset.map { T($0) } : [T](repeating: T(offset[0]), count: width)
    let scales =
      width == scale.count ? scale.map { T($0) } : [T](repeating: T(scale[0]), count: width)
    offsets.withUnsafeBufferPointer { offsets in
      scales.withUnsafeBufferPointer { scales in
        guard let offsets = offsets.baseAddress, let scales = scales.baseAddress else { return }
        nonisolated(unsafe) let (o, s) = (offsets, scales)
        context.forEachRange(x.count / width, nanoseconds: width) { rows in
          for row in rows {
            let (from, to) = (source + row * width, results + row * width)
            for i in 0..<width { to[i] = rounded((from[i] - o[i]) * s[i]) }
          }
        }
      }
    }
  }
}

/// 1 where X is greater than the threshold, else 0. Source: ONNX Binarizer-1 (ai.onnx.ml).
package struct Binarizer: Operator {
  package static let schema = OperatorSchema(
    name: "Binarizer", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: ["threshold": "of all features, 0"])
  private let threshold: Float

  package init(_ node: OperatorNode) throws(MartletError) {
    threshold = try node.attributes.float("threshold", default: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, FeatureRows.isTaken, FeatureRows.taken)
    let output = try context.output(0, x.dtype, x.shape)
    let wide = try context.contiguous(
      try context.converted(x, to: x.dtype == .float32 ? .float32 : .float64))
    let isAbove = try context.scratch(.bool, x.shape)
    let limit = try context.scalar(Double(threshold), wide.dtype)
    try Elementwise.compare(.greater, wide, limit, into: isAbove, context.workspace)
    try Casting.cast(isAbove, into: output, context.workspace)
    context.deliver(output)
  }
}
