import MartletBackends
import MartletCore

/// What an ensemble of trees says of each row of X: [N, F] to [N, n_targets], in X's type.
///
/// Branches and leaves are listed apart. Values of float16 and float32 are compared in float32 where that
/// has all thresholds, others in float64. Source: ONNX TreeEnsemble-5 (ai.onnx.ml).
package struct TreeEnsemble: Operator {
  package static let schema = OperatorSchema(
    name: "TreeEnsemble", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "aggregate_function": "0, 1, 2, 3: average, sum, minimum, maximum of a target's votes",
      "leaf_targetids": "what each leaf votes for", "leaf_weights": "of each leaf's vote",
      "membership_values": "the members of each BRANCH_MEMBER node, a NaN behind each set",
      "n_targets": "how many there are",
      "nodes_falseleafs": "whether nodes_falsenodeids means a leaf",
      "nodes_falsenodeids": "where each node leads if its comparison is false",
      "nodes_featureids": "what each node compares", "nodes_hitrates": "read over",
      "nodes_missing_value_tracks_true": "whether NaN counts as true at each node, 0",
      "nodes_modes":
        "0 to 6: BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT, BRANCH_EQ, BRANCH_NEQ, BRANCH_MEMBER",
      "nodes_splits": "what each node compares with",
      "nodes_trueleafs": "whether nodes_truenodeids means a leaf",
      "nodes_truenodeids": "where each node leads if its comparison is true",
      "post_transform": "0 to 4: NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO, PROBIT",
      "tree_roots": "the first node of each tree",
    ])
  private let scores: TreeScores

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    let targets = try attributes.int("n_targets", default: 1)
    guard (1..<1 << 31).contains(targets) else {
      throw Self.wrong("n_targets", "is \(targets)", "1 or more")
    }
    let transforms: [PostTransform] = [.none, .softmax, .logistic, .softmaxZero, .probit]
    let transform = try attributes.int("post_transform", default: 0)
    guard transforms.indices.contains(transform) else {
      throw Self.wrong("post_transform", "is \(transform)", "0 to 4")
    }
    let function = try attributes.int("aggregate_function", default: 1)
    guard let aggregate = ForestDescription.Aggregate(rawValue: function) else {
      throw Self.wrong("aggregate_function", "is \(function)", "0 to 3")
    }
    var description = try Self.description(attributes, targets: targets)
    description.aggregate = aggregate
    scores = TreeScores(
      forest: try Forest(description, operatorName: attributes.operatorName), base: [],
      transform: transforms[transform])
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [
      ValueType(dtype: inputs.type(0)?.dtype, shape: [rows, .known(scores.forest.targets)])
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(
      0, { $0 == .float16 || $0 == .float32 || $0 == .float64 }, "float16, float32 or float64")
    context.deliver(try scores.results(x, x.dtype, inputs, context))
  }

  private static func description(
    _ attributes: Attributes, targets: Int
  ) throws(MartletError) -> ForestDescription {
    let features = try attributes.optionalInts("nodes_featureids") ?? []
    let count = features.count
    func integers(_ name: String, optional: Bool = false) throws(MartletError) -> [Int] {
      let list = try attributes.optionalInts(name) ?? []
      guard list.count == count || optional && list.isEmpty else {
        throw wrong(name, "has \(list.count) elements", "\(count)")
      }
      return list
    }
    func numbers(_ name: String) throws(MartletError) -> [Double] {
      guard let tensor = try attributes.optionalTensor(name) else { return [] }
      return SmallTensors.doubles(tensor)
    }
    var description = ForestDescription()
    description.targets = targets
    try addLeaves(
      to: &description, try attributes.optionalInts("leaf_targetids") ?? [],
      try numbers("leaf_weights"))
    let onTrue = try integers("nodes_truenodeids")
    let onFalse = try integers("nodes_falsenodeids")
    let isTrueLeaf = try integers("nodes_trueleafs")
    let isFalseLeaf = try integers("nodes_falseleafs")
    let tracks = try integers("nodes_missing_value_tracks_true", optional: true)
    let splits = try numbers("nodes_splits")
    guard splits.count == count else {
      throw wrong("nodes_splits", "has \(splits.count) elements", "\(count)")
    }
    guard let modes = try attributes.optionalTensor("nodes_modes"), modes.count == count else {
      throw wrong("nodes_modes", "is missing, or has not \(count) elements", "\(count)")
    }
    var sets = MemberSets(try numbers("membership_values"))
    let leaves = description.leafCount
    for (node, number) in SmallTensors.integers(modes).enumerated() {
      func child(_ id: Int, _ isLeaf: Int, _ name: String) throws(MartletError)
        -> ForestDescription.Child
      {
        guard id >= 0, id < (isLeaf != 0 ? leaves : count) else {
          throw wrong(
            name, "leads from node \(node) to \(isLeaf != 0 ? "leaf" : "node") \(id)",
            "0..<\(isLeaf != 0 ? leaves : count)")
        }
        return isLeaf != 0 ? .leaf(id) : .branch(id)
      }
      guard let mode = ForestDescription.Mode(rawValue: number) else {
        throw wrong("nodes_modes", "is \(number) at node \(node)", "0 to 6")
      }
      guard (0..<1 << 31).contains(features[node]) else {
        throw wrong(
          "nodes_featureids", "is \(features[node]) at node \(node)", "a feature's number")
      }
      var branch = ForestDescription.Branch(
        mode: mode, threshold: splits[node], feature: features[node],
        onTrue: try child(onTrue[node], isTrueLeaf[node], "nodes_truenodeids"),
        onFalse: try child(onFalse[node], isFalseLeaf[node], "nodes_falsenodeids"),
        isNaNTrue: !tracks.isEmpty && tracks[node] != 0)
      if mode == .member {
        guard let members = sets.next(into: &description.members) else {
          throw wrong("membership_values", "ends before the set of node \(node)", "a set for each")
        }
        branch.members = members
      }
      description.branches.append(branch)
    }
    for root in try attributes.optionalInts("tree_roots") ?? [] {
      guard (0..<count).contains(root) else {
        throw wrong("tree_roots", "has \(root)", "0..<\(count)")
      }
      description.roots.append(.branch(root))
    }
    return description
  }

  private static func addLeaves(
    to description: inout ForestDescription, _ targets: [Int], _ weights: [Double]
  ) throws(MartletError) {
    guard targets.count == weights.count else {
      throw wrong("leaf_weights", "has \(weights.count) elements", "\(targets.count)")
    }
    for (leaf, target) in targets.enumerated() {
      guard (0..<description.targets).contains(target) else {
        throw wrong(
          "leaf_targetids", "is \(target) at leaf \(leaf)", "0..<\(description.targets)")
      }
      description.voteTargets.append(Int32(target))
      description.voteStarts.append(leaf + 1)
    }
    description.voteWeights = weights
  }

  private static func wrong(_ attribute: String, _ what: String, _ expected: String)
    -> MartletError
  {
    MartletError(
      .invalidArgument, "\(schema.name): \(attribute) \(what), expected \(expected)",
      operatorName: schema.name, input: attribute, expected: expected, actual: what)
  }
}

/// Sets of numbers, each with a NaN behind it.
private struct MemberSets {
  private let values: [Double]
  private var position = 0

  init(_ values: [Double]) { self.values = values }

  /// Appends the next set, ascending and without repetitions; nil where there is none.
  mutating func next(into members: inout [Double]) -> Range<Int>? {
    var end = position
    while end < values.count, !values[end].isNaN { end += 1 }
    guard end < values.count else { return nil }
    let start = members.count
    for value in values[position..<end].sorted()
    where members.count == start || members[members.count - 1] != value {
      members.append(value)
    }
    position = end + 1
    return start..<members.count
  }
}
