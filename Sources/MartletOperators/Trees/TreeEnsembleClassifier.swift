import MartletBackends
import MartletCore

/// The likeliest class of each row of X by an ensemble of trees, [N], and the scores of all, [N, C].
///
/// The top class is the first of those with the highest score, before `post_transform`. Of two classes of
/// which only the first is voted for, the votes are those of the second, as exporters write binary
/// classifiers; the other one's are what remains to 1, or, for votes that may be negative, their
/// opposite. Source: ONNX TreeEnsembleClassifier-3 (ai.onnx.ml).
package struct TreeEnsembleClassifier: Operator {
  package static let schema = OperatorSchema(
    name: "TreeEnsembleClassifier", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    outputs: ["Y", "Z"],
    attributes: [
      "classlabels_int64s": "what the classes are called", "classlabels_strings": "or this",
    ].merging(TreeEnsembleAttributes.names(votes: "class")) { first, _ in first })

  private enum Kind {
    /// One score for each class.
    case each
    /// One score, of the second of two classes; the other one's is 1 less it, or its opposite.
    case complement, opposite
    /// One score of one class.
    case single
  }

  private let forest: Forest
  private let base: [Double]
  private let transform: PostTransform
  private let labels: ClassLabels
  private let kind: Kind

  package init(_ node: OperatorNode) throws(MartletError) {
    let trees = TreeEnsembleAttributes(node.attributes, votes: "class")
    let labels = try ClassLabels(
      node.attributes, integers: "classlabels_int64s", strings: "classlabels_strings")
    transform = try PostTransform(node.attributes)
    let ids = try node.attributes.optionalInts("class_ids") ?? []
    let isBinary = labels.count == 2 && !ids.isEmpty && ids.allSatisfy { $0 == 0 }
    let description = try trees.description(targets: isBinary ? 1 : labels.count)
    forest = try Forest(description, operatorName: trees.operatorName)
    var base = try trees.baseValues()
    // One value for two classes is the first one's.
    if labels.count == 2, base.count == 1 { base.append(0) }
    guard base.isEmpty || base.count == labels.count else {
      throw trees.wrong("base_values", "has \(base.count) elements", "\(labels.count)")
    }
    self.base = isBinary ? Array(base.prefix(1)) : base
    if isBinary {
      let isShare = description.voteWeights.allSatisfy { $0 >= 0 } && transform == .none
      kind = isShare || transform == .probit ? .complement : .opposite
    } else {
      kind = labels.count == 1 ? .single : .each
    }
    self.labels = labels.count == 1 ? try labels.yesAndNo() : labels
  }

  /// Columns of Z.
  private var width: Int {
    switch kind {
    case .single: 1
    default: labels.count
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [
      ValueType(dtype: labels.dtype, shape: [rows]),
      ValueType(dtype: .float32, shape: [rows, .known(width)]),
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let given = try inputs.required(0, FeatureRows.isTaken, FeatureRows.taken)
    let x = try TreeScores.rows(given, of: forest, inputs, context)
    let picks = try labels.picks(x.rows, context)
    let output = try context.output(1, .float32, [x.rows, width])
    let totals = try context.scratch(.float64, [x.rows, forest.targets]).typed(Double.self)
    let scores = try context.scratch(.float64, [x.rows, width]).typed(Double.self)
    let (numbers, results) = (picks.typed(Int64.self), output.typed(Float.self))
    let (targets, width) = (forest.targets, width)
    try forest.evaluate(
      x.tensor, rows: x.rows, width: x.width, into: totals, context.workspace
    ) { rows in
      for row in rows {
        let own = totals + row * targets
        for (target, value) in base.enumerated() { own[target] += value }
        numbers[row] = Int64(finish(own, scores + row * width))
        for column in 0..<width {
          results[row * width + column] = Float(scores[row * width + column])
        }
      }
    }
    try labels.deliver(picks, context)
    context.deliver(output)
  }

  /// Writes the scores of a row with these votes; the class that has most.
  private func finish(
    _ votes: UnsafeMutablePointer<Double>, _ scores: UnsafeMutablePointer<Double>
  ) -> Int {
    var best = 0
    switch kind {
    case .single:
      scores[0] = votes[0]
      best = votes[0] > 0 ? 1 : 0
    case .complement, .opposite:
      scores[0] = kind == .complement ? 1 - votes[0] : -votes[0]
      scores[1] = votes[0]
      best = scores[1] > scores[0] ? 1 : 0
    case .each:
      for target in 0..<forest.targets {
        scores[target] = votes[target]
        if votes[target] > votes[best] { best = target }
      }
    }
    transform.apply(scores, width)
    return best
  }
}
