import MartletBackends
import MartletCore

/// The negative of input's element at each target class, times the class's weight: input [N, C, ...],
/// target [N, ...], weight [C]. Source: ONNX NegativeLogLikelihoodLoss-22.
package struct NegativeLogLikelihoodLoss: Operator {
  package static let schema = OperatorSchema(
    name: "NegativeLogLikelihoodLoss", inputs: ["input", "target", "weight"], requiredInputs: 2,
    outputs: ["loss"], attributes: LossReduction.attributes)
  private let loss: LossReduction

  package init(_ node: OperatorNode) throws(MartletError) {
    loss = try LossReduction(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [loss.type(inputs)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    let wide = try context.contiguous(try context.converted(input, to: input.dtype.computeType))
    context.deliver(try loss.loss(of: wide, as: input.dtype, inputs, context))
  }
}

/// The negative log likelihood of labels under softmax of scores along axis 1; the logarithms of the
/// probabilities are the second result. Source: ONNX SoftmaxCrossEntropyLoss-13.
package struct SoftmaxCrossEntropyLoss: Operator {
  package static let schema = OperatorSchema(
    name: "SoftmaxCrossEntropyLoss", inputs: ["scores", "labels", "weights"], requiredInputs: 2,
    outputs: ["output", "log_prob"], attributes: LossReduction.attributes)
  private let loss: LossReduction
  private let givesLogarithms: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    loss = try LossReduction(node.attributes)
    givesLogarithms = node.outputCount > 1
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let scores = inputs.type(0)
    let logarithms = ValueType(dtype: scores?.dtype, shape: scores?.shape)
    return givesLogarithms ? [loss.type(inputs), logarithms] : [loss.type(inputs)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let scores = try inputs.float(0)
    let axis = try Shape.normalizedAxis(1, rank: scores.rank, operatorName: Self.schema.name)
    let wide = try context.converted(scores, to: scores.dtype.computeType)
    let isOutput = givesLogarithms && wide.dtype == scores.dtype
    let logarithms =
      isOutput
      ? try context.output(1, wide.dtype, scores.shape)
      : try context.scratch(wide.dtype, scores.shape)
    try RowFunctions.softmax(
      wide, axis: axis, isLogarithm: true, into: logarithms, context.workspace)
    context.deliver(try loss.loss(of: logarithms, as: scores.dtype, inputs, context))
    if givesLogarithms {
      context.deliver(try context.finish(logarithms, as: scores.dtype, output: 1))
    }
  }
}

/// Losses of elements, and what becomes of them: all, their sum, or their weighted mean.
///
/// Elements whose class is `ignore_index` have the loss 0 and no weight in the mean. Sums are taken in
/// float64, of pieces of a fixed number of elements in their order, and rounded once.
private struct LossReduction: Sendable {
  static let attributes = [
    "ignore_index": "the class whose elements do not count; none",
    "reduction": "none, sum or mean: of the elements' losses; mean",
  ]

  private enum Reduction: String {
    case none, sum, mean
  }

  private let reduction: Reduction
  private let ignored: Int?
  private let operatorName: String

  init(_ attributes: Attributes) throws(MartletError) {
    operatorName = attributes.operatorName
    ignored = try attributes.optionalInt("ignore_index")
    let name = try attributes.string("reduction", default: "mean")
    guard let reduction = Reduction(rawValue: name) else {
      throw MartletError(
        .invalidArgument, "\(operatorName): reduction is '\(name)', expected none, sum or mean",
        operatorName: operatorName, input: "reduction", expected: "none, sum or mean",
        actual: name)
    }
    self.reduction = reduction
  }

  func type(_ inputs: [ValueType?]) -> ValueType {
    let shape = reduction == .none ? inputs.type(1)?.shape : []
    return ValueType(dtype: inputs.type(0)?.dtype, shape: shape)
  }

  /// Elements of a piece.
  private static let piece = 4096

  /// The loss of `values`, input 0 as contiguous float32 or float64, as output 0 of `dtype`.
  func loss(
    of values: Tensor, as dtype: DType, _ inputs: Inputs, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let target = try inputs.required(1, { $0 == .int32 || $0 == .int64 }, "int32 or int64")
    guard values.rank >= 2, target.shape == [values.shape[0]] + values.shape[2...] else {
      let expected = values.rank < 2 ? "[N, C, ...] and [N, ...]" : "the classes' axis less"
      throw .shape(
        operatorName, "\(inputs.name(1)) does not fit \(inputs.name(0))", expected: expected,
        actual: "\(Shape.text(values.shape)) and \(Shape.text(target.shape))",
        input: inputs.name(1))
    }
    let classes = values.shape[1]
    let inner = values.shape[2...].reduce(1, *)
    let labels = try context.contiguous(try context.converted(target, to: .int64))
      .typed(Int64.self)
    try check(labels, target.count, classes, inputs)
    let weights = try weights(inputs, classes, context)
    let losses = try context.scratch(.float64, [target.count])
    let each = losses.typed(Double.self)
    let pieces = (target.count + LossReduction.piece - 1) / LossReduction.piece
    let sums = try context.scratch(.float64, [2, max(pieces, 1)]).typed(Double.self)
    sums.update(repeating: 0, count: 2 * max(pieces, 1))
    let isSingle = values.dtype == .float32
    let (singles, doubles) = (values.typed(Float.self), values.typed(Double.self))
    func run(_ piece: Int) {
      let start = piece * LossReduction.piece
      for i in start..<min(start + LossReduction.piece, target.count) {
        let label = Int(labels[i])
        guard label != ignored else {
          each[i] = 0
          continue
        }
        let (row, column) = i.quotientAndRemainder(dividingBy: inner)
        let place = (row * classes + label) * inner + column
        let weight = weights?[label] ?? 1
        each[i] = -(isSingle ? Double(singles[place]) : doubles[place]) * weight
        sums[2 * piece] += each[i]
        sums[2 * piece + 1] += weight
      }
    }
    context.forEachRange(pieces, nanoseconds: 4 * LossReduction.piece) { range in
      for piece in range { run(piece) }
    }
    if reduction == .none {
      let output = try context.output(0, dtype, target.shape)
      try Casting.cast(try losses.reshaped(target.shape), into: output, context.workspace)
      return output
    }
    var (sum, weight) = (0.0, 0.0)
    for piece in 0..<pieces {
      sum += sums[2 * piece]
      weight += sums[2 * piece + 1]
    }
    let output = try context.output(0, dtype, [])
    SmallTensors.write(reduction == .sum ? sum : sum / weight, to: output)
    return output
  }

  private func check(
    _ labels: UnsafePointer<Int64>, _ count: Int, _ classes: Int, _ inputs: Inputs
  ) throws(MartletError) {
    for i in 0..<count where labels[i] < 0 || labels[i] >= Int64(classes) {
      if let ignored, labels[i] == Int64(ignored) { continue }
      throw MartletError(
        .invalidArgument,
        "\(operatorName): \(inputs.name(1)) has \(labels[i]) at element \(i), which is no class",
        operatorName: operatorName, input: inputs.name(1), expected: "0..<\(classes)",
        actual: "\(labels[i])")
    }
  }

  /// Of each class; nil: 1.
  private func weights(
    _ inputs: Inputs, _ classes: Int, _ context: RunContext
  ) throws(MartletError) -> UnsafePointer<Double>? {
    guard inputs.optional(2) != nil else { return nil }
    let given = try inputs.required(2, \.isFloatingPoint, "a floating-point type")
    guard given.shape == [classes] else {
      throw .shape(
        operatorName, "\(inputs.name(2)) does not fit the classes", expected: "[\(classes)]",
        actual: Shape.text(given.shape), input: inputs.name(2))
    }
    return UnsafePointer(
      try context.contiguous(try context.converted(given, to: .float64)).typed(Double.self))
  }
}
