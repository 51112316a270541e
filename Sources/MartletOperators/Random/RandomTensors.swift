import MartletBackends
import MartletCore

/// What RandomNormal, RandomUniform and their Like forms share.
package struct RandomTensor: Sendable {
  static let normal = [
    "mean": "The mean (0).", "scale": "The standard deviation (1).",
  ].merging(RandomSource.attribute) { first, _ in first }
  static let uniform = [
    "low": "The lower bound (0).", "high": "The upper bound, which is not reached (1).",
  ].merging(RandomSource.attribute) { first, _ in first }
  static let given = [
    "dtype": "The output's type, a float (float32).", "shape": "The output's extents, required.",
  ]
  static let like = ["dtype": "The output's type, a float (the input's)."]

  let operatorName: String
  let distribution: RandomFilling.Distribution
  let dtype: DType?
  let source: RandomSource

  init(_ attributes: Attributes, isNormal: Bool) throws(MartletError) {
    operatorName = attributes.operatorName
    if isNormal {
      distribution = .normal(
        mean: try RandomAttributes.number(attributes, "mean", default: 0),
        scale: try RandomAttributes.number(attributes, "scale", default: 1, atLeast: 0))
    } else {
      let low = try RandomAttributes.number(attributes, "low", default: 0)
      let high = try RandomAttributes.number(
        attributes, "high", default: 1, atLeast: Float(low))
      distribution = .uniform(low: low, high: high)
    }
    dtype = try RandomAttributes.dtype(
      attributes, expected: "a floating-point type", \.isFloatingPoint)
    source = try RandomSource(attributes)
  }

  func run(_ dtype: DType, _ shape: [Int], _ context: RunContext) throws(MartletError) {
    let output = try context.output(0, dtype, shape)
    RandomFilling.fill(output, distribution, source.next(), on: context.pool)
    context.deliver(output)
  }

  /// The attribute `shape`.
  static func shape(_ attributes: Attributes) throws(MartletError) -> [Int] {
    guard let shape = try attributes.optionalInts("shape") else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): attribute 'shape' is missing",
        operatorName: attributes.operatorName, input: "shape", expected: "extents",
        actual: "nothing")
    }
    guard shape.allSatisfy({ $0 >= 0 }), shape.count <= Shape.maximumRank else {
      throw .shape(
        attributes.operatorName, "attribute 'shape'",
        expected: "at most \(Shape.maximumRank) extents from 0 on", actual: Shape.text(shape),
        input: "shape")
    }
    return shape
  }
}

/// Random numbers in a shape that an attribute gives.
package protocol ShapedRandomOperator: Operator {
  var tensor: RandomTensor { get }
  var shape: [Int] { get }
}

extension ShapedRandomOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: tensor.dtype ?? .float32, shape: shape.map { .known($0) })]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    try tensor.run(tensor.dtype ?? .float32, shape, context)
  }
}

/// Random numbers in the shape of the input, and in its dtype where the attribute gives none.
package protocol RandomLikeOperator: Operator {
  var tensor: RandomTensor { get }
}

extension RandomLikeOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: tensor.dtype ?? inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    guard let dtype = tensor.dtype ?? (input.dtype.isFloatingPoint ? input.dtype : nil) else {
      throw .dtype(
        Self.schema.name, "input", expected: "a floating-point type, or the attribute dtype",
        actual: input.dtype)
    }
    try tensor.run(dtype, input.shape, context)
  }
}

/// Normally distributed numbers. Source: ONNX RandomNormal-22.
package struct RandomNormal: ShapedRandomOperator {
  package static let schema = OperatorSchema(
    name: "RandomNormal", inputs: [],
    attributes: RandomTensor.normal.merging(RandomTensor.given) { first, _ in first },
    traits: [.random])
  package let tensor: RandomTensor
  package let shape: [Int]

  package init(_ node: OperatorNode) throws(MartletError) {
    tensor = try RandomTensor(node.attributes, isNormal: true)
    shape = try RandomTensor.shape(node.attributes)
  }
}

/// Normally distributed numbers in the input's shape. Source: ONNX RandomNormalLike-22.
package struct RandomNormalLike: RandomLikeOperator {
  package static let schema = OperatorSchema(
    name: "RandomNormalLike", inputs: ["input"],
    attributes: RandomTensor.normal.merging(RandomTensor.like) { first, _ in first },
    traits: [.random])
  package let tensor: RandomTensor

  package init(_ node: OperatorNode) throws(MartletError) {
    tensor = try RandomTensor(node.attributes, isNormal: true)
  }
}

/// Numbers from low up to, but not, high; each equally likely. Source: ONNX RandomUniform-22.
package struct RandomUniform: ShapedRandomOperator {
  package static let schema = OperatorSchema(
    name: "RandomUniform", inputs: [],
    attributes: RandomTensor.uniform.merging(RandomTensor.given) { first, _ in first },
    traits: [.random])
  package let tensor: RandomTensor
  package let shape: [Int]

  package init(_ node: OperatorNode) throws(MartletError) {
    tensor = try RandomTensor(node.attributes, isNormal: false)
    shape = try RandomTensor.shape(node.attributes)
  }
}

/// Uniformly distributed numbers in the input's shape. Source: ONNX RandomUniformLike-22.
package struct RandomUniformLike: RandomLikeOperator {
  package static let schema = OperatorSchema(
    name: "RandomUniformLike", inputs: ["input"],
    attributes: RandomTensor.uniform.merging(RandomTensor.like) { first, _ in first },
    traits: [.random])
  package let tensor: RandomTensor

  package init(_ node: OperatorNode) throws(MartletError) {
    tensor = try RandomTensor(node.attributes, isNormal: false)
  }
}
