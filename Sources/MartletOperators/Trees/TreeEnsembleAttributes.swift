import MartletBackends
import MartletCore

/// The attributes that describe trees in TreeEnsembleRegressor and TreeEnsembleClassifier, whose nodes,
/// leaves included, are known by the numbers of their tree and of themselves.
///
/// A tree's root is the first node that has the tree's number.
struct TreeEnsembleAttributes {
  static func names(votes: String) -> [String: String] {
    let tensors = [
      "base_values_as_tensor": "base_values of float64",
      "\(votes)_weights_as_tensor": "\(votes)_weights of float64",
      "nodes_hitrates_as_tensor": "read over", "nodes_values_as_tensor": "nodes_values of float64",
    ]
    let lists = [
      "base_values": "what the targets' votes are added to, 0",
      "nodes_falsenodeids": "where each node leads if its comparison is false",
      "nodes_featureids": "what each node compares", "nodes_hitrates": "read over",
      "nodes_missing_value_tracks_true": "whether NaN counts as true at each node, 0",
      "nodes_modes":
        "BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT, BRANCH_EQ, BRANCH_NEQ or LEAF, of each node",
      "nodes_nodeids": "the number of each node in its tree",
      "nodes_treeids": "the tree of each node",
      "nodes_truenodeids": "where each node leads if its comparison is true",
      "nodes_values": "what each node compares with",
      "post_transform": "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT",
      "\(votes)_ids": "what each vote is for", "\(votes)_nodeids": "the leaf of each vote",
      "\(votes)_treeids": "the tree of each vote", "\(votes)_weights": "of each vote",
    ]
    return tensors.merging(lists) { first, _ in first }
  }

  let operatorName: String
  private let attributes: Attributes
  private let votes: String

  /// `votes`: `target` or `class`.
  init(_ attributes: Attributes, votes: String) {
    self.attributes = attributes
    self.votes = votes
    operatorName = attributes.operatorName
  }

  func baseValues() throws(MartletError) -> [Double] { try doubles("base_values") ?? [] }

  /// The trees, whose votes are for `targets` targets.
  func description(targets: Int) throws(MartletError) -> ForestDescription {
    let trees = try integers("nodes_treeids", nil)
    let count = trees.count
    let ids = try integers("nodes_nodeids", count)
    let features = try integers("nodes_featureids", count)
    let onTrue = try integers("nodes_truenodeids", count)
    let onFalse = try integers("nodes_falsenodeids", count)
    let values = try doubles("nodes_values") ?? []
    try check("nodes_values", values.count, count)
    let tracks = try attributes.optionalInts("nodes_missing_value_tracks_true") ?? []
    if !tracks.isEmpty { try check("nodes_missing_value_tracks_true", tracks.count, count) }
    let modes = try attributes.optionalStrings("nodes_modes") ?? []
    try check("nodes_modes", modes.count, count)

    let index = try TreeNodeIndex(trees: trees, ids: ids, operatorName)
    var description = ForestDescription()
    description.targets = targets
    // The branch or leaf that each node is.
    var children: [ForestDescription.Child] = []
    children.reserveCapacity(count)
    var parsed: [ForestDescription.Mode?] = []
    parsed.reserveCapacity(count)
    var (branches, leaves) = (0, 0)
    for (node, name) in modes.enumerated() {
      let mode = try mode(name, node)
      parsed.append(mode)
      if mode == nil {
        children.append(.leaf(leaves))
        leaves += 1
      } else {
        children.append(.branch(branches))
        branches += 1
      }
    }
    description.branches.reserveCapacity(branches)
    for (node, mode) in parsed.enumerated() {
      guard let mode else { continue }
      guard (0..<1 << 31).contains(features[node]) else {
        throw wrong(
          "nodes_featureids", "is \(features[node]) at node \(node)", "a feature's number")
      }
      func child(_ ids: [Int], _ name: String) throws(MartletError) -> ForestDescription.Child {
        guard let child = index.node(tree: trees[node], id: ids[node]) else {
          throw wrong(
            name, "leads from node \(node) to \(ids[node])", "a node of tree \(trees[node])")
        }
        return children[child]
      }
      description.branches.append(
        ForestDescription.Branch(
          mode: mode, threshold: values[node], feature: features[node],
          onTrue: try child(onTrue, "nodes_truenodeids"),
          onFalse: try child(onFalse, "nodes_falsenodeids"),
          isNaNTrue: !tracks.isEmpty && tracks[node] != 0))
    }
    description.roots = index.roots.map { children[$0] }
    try addVotes(to: &description, children, index, leaves: leaves)
    return description
  }

  private func addVotes(
    to description: inout ForestDescription, _ children: [ForestDescription.Child],
    _ index: TreeNodeIndex, leaves: Int
  ) throws(MartletError) {
    let targets = try integers("\(votes)_ids", nil)
    let trees = try integers("\(votes)_treeids", targets.count)
    let ids = try integers("\(votes)_nodeids", targets.count)
    let weights = try doubles("\(votes)_weights") ?? []
    try check("\(votes)_weights", weights.count, targets.count)
    var owners = [Int](repeating: -1, count: targets.count)
    var starts = [Int](repeating: 0, count: leaves + 1)
    for vote in targets.indices {
      guard (0..<description.targets).contains(targets[vote]), targets[vote] < 1 << 31 else {
        throw wrong(
          "\(votes)_ids", "is \(targets[vote]) at vote \(vote)", "0..<\(description.targets)")
      }
      guard let node = index.node(tree: trees[vote], id: ids[vote]) else {
        throw wrong(
          "\(votes)_nodeids", "is \(ids[vote]) in tree \(trees[vote]) at vote \(vote)",
          "a node that there is")
      }
      // What stands at a branch is never come to.
      guard case .leaf(let leaf) = children[node] else { continue }
      owners[vote] = leaf
      starts[leaf + 1] += 1
    }
    for leaf in 0..<leaves { starts[leaf + 1] += starts[leaf] }
    var next = starts
    description.voteTargets = [Int32](repeating: 0, count: starts[leaves])
    description.voteWeights = [Double](repeating: 0, count: starts[leaves])
    for (vote, leaf) in owners.enumerated() where leaf >= 0 {
      description.voteTargets[next[leaf]] = Int32(targets[vote])
      description.voteWeights[next[leaf]] = weights[vote]
      next[leaf] += 1
    }
    description.voteStarts = starts
  }

  /// nil: a leaf.
  private func mode(_ name: String, _ node: Int) throws(MartletError) -> ForestDescription.Mode? {
    switch name {
    case "LEAF": return nil
    case "BRANCH_LEQ": return .lessOrEqual
    case "BRANCH_LT": return .less
    case "BRANCH_GTE": return .greaterOrEqual
    case "BRANCH_GT": return .greater
    case "BRANCH_EQ": return .equal
    case "BRANCH_NEQ": return .notEqual
    default:
      throw wrong("nodes_modes", "is '\(name)' at node \(node)", "LEAF or BRANCH_LEQ, LT, GTE, ...")
    }
  }

  private func integers(_ name: String, _ count: Int?) throws(MartletError) -> [Int] {
    let list = try attributes.optionalInts(name) ?? []
    if let count { try check(name, list.count, count) }
    return list
  }

  /// A list of floats, or the tensor of float64 that may stand in its place.
  func doubles(_ name: String) throws(MartletError) -> [Double]? {
    if let tensor = try attributes.optionalTensor("\(name)_as_tensor"), tensor.count > 0 {
      guard tensor.dtype == .float64 || tensor.dtype == .float32 else {
        throw wrong("\(name)_as_tensor", "is of \(tensor.dtype)", "float64")
      }
      return SmallTensors.doubles(tensor)
    }
    return try attributes.optionalFloats(name)?.map { Double($0) }
  }

  private func check(_ name: String, _ actual: Int, _ expected: Int) throws(MartletError) {
    guard actual == expected else {
      throw wrong(name, "has \(actual) elements", "\(expected)")
    }
  }

  func wrong(_ attribute: String, _ what: String, _ expected: String) -> MartletError {
    MartletError(
      .invalidArgument, "\(operatorName): \(attribute) \(what), expected \(expected)",
      operatorName: operatorName, input: attribute, expected: expected, actual: what)
  }
}

/// Where the nodes of trees stand in their lists.
private struct TreeNodeIndex {
  private struct Key: Hashable {
    let tree: Int
    let id: Int
  }

  /// The first node of each tree, in the order of the trees' numbers' first appearance.
  private(set) var roots: [Int] = []
  /// For trees whose nodes stand together and are numbered from 0 on: where, and how many.
  private var ranges: [Int: Range<Int>] = [:]
  private var others: [Key: Int] = [:]

  init(trees: [Int], ids: [Int], _ operatorName: String) throws(MartletError) {
    var seen: Set<Int> = []
    var isPlain = true
    var start = 0
    while start < trees.count {
      var end = start
      while end < trees.count, trees[end] == trees[start] {
        if ids[end] != end - start { isPlain = false }
        end += 1
      }
      if seen.insert(trees[start]).inserted { roots.append(start) } else { isPlain = false }
      ranges[trees[start]] = start..<end
      start = end
    }
    guard !isPlain else { return }
    ranges = [:]
    others.reserveCapacity(trees.count)
    for node in trees.indices {
      guard others.updateValue(node, forKey: Key(tree: trees[node], id: ids[node])) == nil else {
        throw MartletError(
          .invalidArgument,
          "\(operatorName): node \(ids[node]) of tree \(trees[node]) is there twice",
          operatorName: operatorName, input: "nodes_nodeids", expected: "each node once",
          actual: "node \(ids[node]) of tree \(trees[node])")
      }
    }
  }

  func node(tree: Int, id: Int) -> Int? {
    if let range = ranges[tree] { return id >= 0 && id < range.count ? range.lowerBound + id : nil }
    return others[Key(tree: tree, id: id)]
  }
}
