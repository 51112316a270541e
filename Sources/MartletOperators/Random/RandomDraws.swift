import MartletBackends
import MartletCore

/// 1 with the input's probability, element by element, else 0. Source: ONNX Bernoulli-22.
package struct Bernoulli: Operator {
  package static let schema = OperatorSchema(
    name: "Bernoulli", inputs: ["input"],
    attributes: ["dtype": "The output's type (the input's)."]
      .merging(RandomSource.attribute) { first, _ in first },
    traits: [.random])
  private let dtype: DType?
  private let source: RandomSource

  package init(_ node: OperatorNode) throws(MartletError) {
    dtype = try RandomAttributes.dtype(node.attributes, expected: "any type") { _ in true }
    source = try RandomSource(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: dtype ?? inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let probabilities = try context.contiguous(try context.converted(input, to: .float64))
    if let value = RandomFilling.firstImprobable(probabilities) {
      throw MartletError(
        .invalidArgument, "Bernoulli: input holds \(value), which is no probability",
        operatorName: "Bernoulli", input: "input", expected: "values in 0...1", actual: "\(value)")
    }
    let output = try context.output(0, dtype ?? input.dtype, input.shape)
    RandomFilling.fill(output, withOnesOf: probabilities, source.next(), on: context.pool)
    context.deliver(output)
  }
}

/// Classes drawn from rows of logarithms of weights, [batch, classes] to [batch, sample_size].
/// Source: ONNX Multinomial-22.
package struct Multinomial: Operator {
  package static let schema = OperatorSchema(
    name: "Multinomial", inputs: ["input"],
    attributes: [
      "dtype": "The output's type, int32 or int64 (int32).",
      "sample_size": "How many classes are drawn from each row (1).",
    ].merging(RandomSource.attribute) { first, _ in first }, traits: [.random])
  private let dtype: DType
  private let samples: Int
  private let source: RandomSource

  package init(_ node: OperatorNode) throws(MartletError) {
    dtype =
      try RandomAttributes.dtype(node.attributes, expected: "int32 or int64") {
        $0 == .int32 || $0 == .int64
      } ?? .int32
    samples = try node.attributes.int("sample_size", default: 1)
    guard samples > 0 else {
      throw MartletError(
        .invalidArgument,
        "Multinomial: attribute 'sample_size' must be at least 1, got \(samples)",
        operatorName: "Multinomial", input: "sample_size", expected: ">= 1", actual: "\(samples)")
    }
    source = try RandomSource(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let shape = inputs.type(0)?.shape else {
      return [ValueType(dtype: dtype, shape: [.unknown, .known(samples)])]
    }
    guard shape.count == 2 else { throw notAMatrix(Inference.text(shape)) }
    return [ValueType(dtype: dtype, shape: [shape[0], .known(samples)])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    guard input.rank == 2 else { throw notAMatrix(Shape.text(input.shape)) }
    guard input.shape[1] > 0 || input.shape[0] == 0 else {
      throw .shape(
        "Multinomial", "input has no classes", expected: "[batch, at least 1]",
        actual: Shape.text(input.shape), input: "input")
    }
    let output = try context.output(0, dtype, [input.shape[0], samples])
    let stream = source.next()
    if output.count == 0 { return context.deliver(output) }
    let logits = try context.scratch(.float64, input.shape)
    try Casting.cast(input, into: logits, context.workspace)
    if let row = RandomFilling.drawClasses(output, logits: logits, stream, on: context.pool) {
      throw MartletError(
        .invalidArgument, "Multinomial: row \(row) of input has no weights to draw by",
        operatorName: "Multinomial", input: "input",
        expected: "no NaN or +Inf, and a finite number in each row", actual: "row \(row)")
    }
    context.deliver(output)
  }

  private func notAMatrix(_ actual: String) -> MartletError {
    .shape("Multinomial", "input is no matrix", expected: "rank 2", actual: actual, input: "input")
  }
}
