import MartletBackends
import MartletCore

/// Rows of X times coefficients, plus intercepts: [N, F] to [N, targets], float32.
///
/// Summed as Gemm does, in float32 for float32, else in float64.
/// Source: ONNX LinearRegressor-1 (ai.onnx.ml).
package struct LinearRegressor: Operator {
  package static let schema = OperatorSchema(
    name: "LinearRegressor", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    outputs: ["Y"],
    attributes: [
      "coefficients": "of each target, one target after the other",
      "intercepts": "of each target, 0",
      "post_transform": PostTransform.text, "targets": "how many there are, 1",
    ])
  private let scores: LinearScores
  private let transform: PostTransform

  package init(_ node: OperatorNode) throws(MartletError) {
    let targets = try node.attributes.int("targets", default: 1)
    transform = try PostTransform(node.attributes)
    scores = try LinearScores(
      node.attributes, rows: targets, try node.attributes.optionalFloats("intercepts") ?? [])
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [ValueType(dtype: .float32, shape: [rows, .known(scores.count)])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let (scores, rows) = try scores.scores(inputs, context)
    let count = self.scores.count
    let output = try context.output(0, .float32, [rows, count])
    let results = output.typed(Float.self)
    if transform != .none {
      context.forEachRange(rows, nanoseconds: 20 * count) { range in
        for row in range { transform.apply(scores + row * count, count) }
      }
    }
    for index in 0..<output.count { results[index] = Float(scores[index]) }
    context.deliver(output)
  }
}

/// The class with the highest of the linear scores of each row of X, [N], and the scores, [N, C].
///
/// One row of coefficients for two classes scores the second: it is the top class where that is above 0,
/// and the first one's score is what remains to 1, or, for what is transformed, the opposite.
/// Source: ONNX LinearClassifier-1 (ai.onnx.ml).
package struct LinearClassifier: Operator {
  package static let schema = OperatorSchema(
    name: "LinearClassifier", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    outputs: ["Y", "Z"],
    attributes: [
      "classlabels_ints": "what the classes are called", "classlabels_strings": "or this",
      "coefficients": "of each score, one score after the other",
      "intercepts": "of each score, 0", "multi_class": "read over",
      "post_transform": PostTransform.text,
    ])
  private let scores: LinearScores
  private let labels: ClassLabels
  private let transform: PostTransform
  /// Whether one score is both classes'.
  private let isBinary: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    let labels = try ClassLabels(
      node.attributes, integers: "classlabels_ints", strings: "classlabels_strings")
    transform = try PostTransform(node.attributes)
    let intercepts = try node.attributes.optionalFloats("intercepts") ?? []
    scores = try LinearScores(
      node.attributes, rows: intercepts.isEmpty ? labels.count : intercepts.count, intercepts)
    guard scores.count == labels.count || scores.count == 1 && labels.count == 2 else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): there are \(scores.count) scores for \(labels.count) classes",
        operatorName: Self.schema.name, input: "intercepts", expected: "\(labels.count)",
        actual: "\(scores.count)")
    }
    isBinary = scores.count == 1 && labels.count == 2
    self.labels = labels.count == 1 ? try labels.yesAndNo() : labels
  }

  /// Columns of Z.
  private var width: Int { isBinary ? 2 : scores.count }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [
      ValueType(dtype: labels.dtype, shape: [rows]),
      ValueType(dtype: .float32, shape: [rows, .known(width)]),
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let (scores, rows) = try scores.scores(inputs, context)
    let (count, width) = (self.scores.count, width)
    let picks = try labels.picks(rows, context)
    let output = try context.output(1, .float32, [rows, width])
    let (numbers, results) = (picks.typed(Int64.self), output.typed(Float.self))
    let both = try context.scratch(.float64, [isBinary ? rows : 0, 2]).typed(Double.self)
    context.forEachRange(rows, nanoseconds: 25 * width) { range in
      for row in range {
        var own = scores + row * count
        if count == 1 {
          numbers[row] = own[0] > 0 ? 1 : 0
          if isBinary {
            let score = own[0]
            own = both + row * 2
            own[0] = transform == .none || transform == .probit ? 1 - score : -score
            own[1] = score
          }
        } else {
          var best = 0
          for i in 1..<count where own[i] > own[best] { best = i }
          numbers[row] = Int64(best)
        }
        transform.apply(own, width)
        for i in 0..<width { results[row * width + i] = Float(own[i]) }
      }
    }
    try labels.deliver(picks, context)
    context.deliver(output)
  }
}

/// Rows of features times coefficients, plus intercepts.
private struct LinearScores: Sendable {
  private let weights: EstimatorWeights
  private let intercepts: [Float]
  private let operatorName: String

  /// `rows`: of the coefficients.
  init(
    _ attributes: Attributes, rows: Int, _ intercepts: [Float]
  ) throws(MartletError) {
    operatorName = attributes.operatorName
    let coefficients = try attributes.optionalFloats("coefficients") ?? []
    guard rows > 0, !coefficients.isEmpty, coefficients.count % rows == 0 else {
      throw MartletError(
        .invalidArgument,
        "\(operatorName): \(coefficients.count) coefficients cannot be those of \(rows) scores",
        operatorName: operatorName, input: "coefficients", expected: "a multiple of \(rows)",
        actual: "\(coefficients.count)")
    }
    guard intercepts.isEmpty || intercepts.count == rows else {
      throw MartletError(
        .invalidArgument, "\(operatorName): \(rows) scores have \(intercepts.count) intercepts",
        operatorName: operatorName, input: "intercepts", expected: "\(rows)",
        actual: "\(intercepts.count)")
    }
    self.intercepts = intercepts
    weights = try EstimatorWeights(
      coefficients, rows: rows, columns: coefficients.count / rows)
  }

  var count: Int { weights.rows }

  /// [rows, count], in scratch memory.
  func scores(
    _ inputs: Inputs, _ context: RunContext
  ) throws(MartletError) -> (UnsafeMutablePointer<Double>, rows: Int) {
    let given = try inputs.required(0, FeatureRows.isTaken, FeatureRows.taken)
    let dtype = given.dtype == .float32 ? DType.float32 : .float64
    let x = try FeatureRows(given, as: dtype, inputs, context)
    try x.check(width: weights.columns, inputs)
    let product = try context.scratch(dtype, [x.rows, count])
    try weights.multiply(x.tensor, into: product, operatorName: operatorName, context)
    let scores = try context.scratch(.float64, [x.rows, count])
    try Casting.cast(product, into: scores, context.workspace)
    let place = scores.typed(Double.self)
    if !intercepts.isEmpty {
      for row in 0..<x.rows {
        for (i, intercept) in intercepts.enumerated() {
          place[row * count + i] += Double(intercept)
        }
      }
    }
    return (place, x.rows)
  }
}
