import MartletBackends
import MartletCore

/// What an ensemble of trees says of each row of X: [N, F] to [N, n_targets].
///
/// Values of float32 are compared as they are, integers and float64 in float64; votes are summed in
/// float64 and rounded once. Source: ONNX TreeEnsembleRegressor-3 (ai.onnx.ml).
package struct TreeEnsembleRegressor: Operator {
  package static let schema = OperatorSchema(
    name: "TreeEnsembleRegressor", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    outputs: ["Y"],
    attributes: [
      "aggregate_function": "AVERAGE, SUM, MIN or MAX of a target's votes",
      "n_targets": "how many there are",
    ].merging(TreeEnsembleAttributes.names(votes: "target")) { first, _ in first })
  private let scores: TreeScores

  package init(_ node: OperatorNode) throws(MartletError) {
    let trees = TreeEnsembleAttributes(node.attributes, votes: "target")
    let targets = try node.attributes.int("n_targets", default: 0)
    guard (1..<1 << 31).contains(targets) else {
      throw trees.wrong("n_targets", "is \(targets)", "1 or more")
    }
    let base = try trees.baseValues()
    guard base.isEmpty || base.count == targets else {
      throw trees.wrong("base_values", "has \(base.count) elements", "\(targets)")
    }
    var description = try trees.description(targets: targets)
    let name = try node.attributes.string("aggregate_function", default: "SUM")
    switch name {
    case "AVERAGE": description.aggregate = .average
    case "SUM": description.aggregate = .sum
    case "MIN": description.aggregate = .minimum
    case "MAX": description.aggregate = .maximum
    default: throw trees.wrong("aggregate_function", "is '\(name)'", "AVERAGE, SUM, MIN or MAX")
    }
    scores = TreeScores(
      forest: try Forest(description, operatorName: trees.operatorName), base: base,
      transform: try PostTransform(node.attributes))
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [ValueType(dtype: .float32, shape: [rows, .known(scores.forest.targets)])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, FeatureRows.isTaken, FeatureRows.taken)
    context.deliver(try scores.results(x, .float32, inputs, context))
  }
}

/// The totals of a forest as results: with base values, transformed, in the output's type.
struct TreeScores: Sendable {
  let forest: Forest
  /// Of each target, or empty.
  let base: [Double]
  let transform: PostTransform

  /// x as `forest` takes it.
  static func rows(
    _ x: Tensor, of forest: Forest, _ inputs: Inputs, _ context: RunContext
  ) throws(MartletError) -> FeatureRows {
    let isNarrow = x.dtype == .float32 || x.dtype == .float16
    let rows = try FeatureRows(
      x, as: isNarrow && forest.fitsFloat32 ? .float32 : .float64, inputs, context)
    try rows.check(width: forest.columns, orMore: true, inputs)
    return rows
  }

  /// [N, targets] of `dtype`, output 0.
  func results(
    _ x: Tensor, _ dtype: DType, _ inputs: Inputs, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let x = try TreeScores.rows(x, of: forest, inputs, context)
    let shape = [x.rows, forest.targets]
    let output = try context.output(0, dtype, shape)
    let totals = dtype == .float64 ? output : try context.scratch(.float64, shape)
    let place = totals.typed(Double.self)
    let targets = forest.targets
    try forest.evaluate(
      x.tensor, rows: x.rows, width: x.width, into: place, context.workspace
    ) { rows in
      if base.isEmpty && transform == .none { return }
      for row in rows {
        let scores = place + row * targets
        for (target, value) in base.enumerated() { scores[target] += value }
        transform.apply(scores, targets)
      }
    }
    if dtype != .float64 { try Casting.cast(totals, into: output, context.workspace) }
    return output
  }
}
