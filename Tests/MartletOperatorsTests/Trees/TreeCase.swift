import MartletBackends
import MartletCore

@testable import MartletOperators

/// Small forests in the attributes of TreeEnsembleRegressor, and what they say by their text, one
/// comparison after the other.
struct TreeCase {
  static let modes = [
    "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ",
  ]

  struct Node {
    var tree = 0
    var id = 0
    var feature = 0
    var value = 0.0
    var mode = "LEAF"
    var onTrue = 0
    var onFalse = 0
    var tracksTrue = false
    /// What a leaf votes, by target.
    var votes: [(target: Int, weight: Double)] = []
  }

  var nodes: [Node] = []
  var targets = 1
  var aggregate = "SUM"
  var base: [Double] = []

  /// Random trees whose thresholds are whole numbers and halves, so that they equal some features.
  static func random(
    _ random: inout CaseGenerator, trees: Int, depth: Int, features: Int, targets: Int = 1,
    modes: [String] = TreeCase.modes
  ) -> TreeCase {
    var forest = TreeCase()
    forest.targets = targets
    for tree in 0..<trees {
      var pending = [(id: 0, level: 0)]
      var next = 1
      while let (id, level) = pending.popLast() {
        var node = Node(tree: tree, id: id)
        if level < depth, level == 0 || random.below(4) > 0 {
          node.mode = modes[random.below(modes.count)]
          node.feature = random.below(features)
          node.value = Double(random.below(9)) / 2 - 2
          node.tracksTrue = random.below(3) == 0
          (node.onTrue, node.onFalse) = (next, next + 1)
          pending += [(next, level + 1), (next + 1, level + 1)]
          next += 2
        } else {
          for target in 0..<targets where targets == 1 || random.below(3) > 0 {
            node.votes.append((target, Double(random.below(2001) - 1000) / 64))
          }
        }
        forest.nodes.append(node)
      }
    }
    return forest
  }

  var attributes: [String: AttributeValue] {
    var votes: [(node: Node, target: Int, weight: Double)] = []
    for node in nodes { votes += node.votes.map { (node, $0.target, $0.weight) } }
    var result: [String: AttributeValue] = [
      "nodes_treeids": .ints(nodes.map(\.tree)), "nodes_nodeids": .ints(nodes.map(\.id)),
      "nodes_featureids": .ints(nodes.map(\.feature)),
      "nodes_values": .floats(nodes.map { Float($0.value) }),
      "nodes_modes": .strings(nodes.map(\.mode)),
      "nodes_truenodeids": .ints(nodes.map(\.onTrue)),
      "nodes_falsenodeids": .ints(nodes.map(\.onFalse)),
      "nodes_missing_value_tracks_true": .ints(nodes.map { $0.tracksTrue ? 1 : 0 }),
      "target_treeids": .ints(votes.map(\.node.tree)),
      "target_nodeids": .ints(votes.map(\.node.id)), "target_ids": .ints(votes.map(\.target)),
      "target_weights": .floats(votes.map { Float($0.weight) }), "n_targets": .int(targets),
      "aggregate_function": .string(aggregate),
    ]
    if !base.isEmpty { result["base_values"] = .floats(base.map { Float($0) }) }
    return result
  }

  /// The totals of one row.
  func totals(_ row: [Double]) -> [Double] {
    var totals = [Double](
      repeating: aggregate == "MIN" || aggregate == "MAX" ? .nan : 0, count: targets)
    let trees = Set(nodes.map(\.tree)).sorted()
    for tree in trees {
      let own = nodes.filter { $0.tree == tree }
      guard var node = own.first else { continue }
      while node.mode != "LEAF" {
        let id = node.isTrue(row[node.feature]) ? node.onTrue : node.onFalse
        guard let next = own.first(where: { $0.id == id }) else { break }
        node = next
      }
      for (target, weight) in node.votes {
        switch aggregate {
        case "MIN": totals[target] = Double.minimum(totals[target], weight)
        case "MAX": totals[target] = Double.maximum(totals[target], weight)
        default: totals[target] += weight
        }
      }
    }
    for target in 0..<targets {
      if totals[target].isNaN { totals[target] = 0 }
      if aggregate == "AVERAGE" { totals[target] /= Double(trees.count) }
      if !base.isEmpty { totals[target] += base[target] }
    }
    return totals
  }
}

extension TreeCase.Node {
  func isTrue(_ x: Double) -> Bool {
    if x.isNaN { return tracksTrue }
    switch mode {
    case "BRANCH_LEQ": return x <= value
    case "BRANCH_LT": return x < value
    case "BRANCH_GTE": return x >= value
    case "BRANCH_GT": return x > value
    case "BRANCH_EQ": return x == value
    default: return x != value
    }
  }
}

/// Numbers that are the same in each run.
struct CaseGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func below(_ bound: Int) -> Int { Int(next() >> 11 % UInt64(bound)) }

  /// Rows of halves, some of them no numbers or infinite.
  mutating func rows(_ count: Int, _ width: Int, odd: Bool = true) -> [Double] {
    let others: [Double] = [Double.nan, Double.infinity, -Double.infinity, -0.0]
    var values: [Double] = []
    for _ in 0..<count * width {
      values.append(odd && below(12) == 0 ? others[below(4)] : Double(below(11)) / 2 - 2.5)
    }
    return values
  }
}
