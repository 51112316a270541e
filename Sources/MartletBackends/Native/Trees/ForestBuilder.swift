import MartletCore
import MartletKernels

/// Lays trees out as the nodes that `trees.c` walks: those of a tree together, both children of a branch
/// side by side, and every comparison made into <=.
///
/// Each branch is laid out once, whoever leads to it: a tree is walked to its end in as many steps as it
/// has branches. Complexity: linear in branches, leaves and members.
struct ForestBuilder {
  /// Caller's bits of a node's flags: whether the comparison is < instead, and where a leaf's number
  /// begins.
  static let strict: UInt32 = 4
  static let leafShift: UInt32 = 3

  private(set) var nodes: [mk_tree_node_f64] = []
  private(set) var roots: [UInt32] = []
  private(set) var columns = 0
  /// The branches on the longest way down.
  private(set) var depth = 0

  private let description: ForestDescription
  private let operatorName: String
  /// Whether a leaf's threshold is its only weight.
  private let hasOneWeight: Bool
  /// Where each branch lies, and from which it was reached.
  private var places: [Int32]
  private var owners: [Int32]
  /// Nodes that are to be the same as others, once those are laid out.
  private var copies: [(from: Int, to: Int)] = []

  private static let none: Int32 = -1
  private static let root: Int32 = -2

  private enum Item {
    case child(ForestDescription.Child, of: Int32)
    /// The second half of whether the feature equals `value`.
    case equals(Int, Double)
    /// Whether it is one of these members, which ascend.
    case members(Int, Range<Int>)
  }

  /// Throws `invalidArgument` for a branch that is reached from two places (or from itself), and for
  /// more nodes than there are numbers for.
  init(
    _ description: ForestDescription, hasOneWeight: Bool, operatorName: String
  ) throws(MartletError) {
    self.description = description
    self.hasOneWeight = hasOneWeight
    self.operatorName = operatorName
    let count = description.branches.count
    // At the most: the two halves of an equality have two children each, a search two for each half.
    let most = 4 * count + description.roots.count + 6 * description.members.count
    guard most < 1 << 29, description.leafCount < 1 << 29 else {
      throw MartletError(
        .unsupported, "\(operatorName): \(count) nodes are more than trees may have",
        operatorName: operatorName, expected: "fewer than \(1 << 27)", actual: "\(count)")
    }
    try MemoryReserve.checkRoom(48 * count + 1)
    places = [Int32](repeating: ForestBuilder.none, count: count)
    owners = places
    nodes.reserveCapacity(2 * count + description.roots.count)
    for root in description.roots {
      roots.append(UInt32(nodes.count))
      nodes.append(mk_tree_node_f64())
      try layOut(root)
    }
    for copy in copies {
      nodes[copy.to] = nodes[copy.from]
    }
  }

  private mutating func layOut(_ root: ForestDescription.Child) throws(MartletError) {
    var stack: [(item: Item, slot: Int, level: Int)] = [
      (.child(root, of: ForestBuilder.root), nodes.count - 1, 0)
    ]
    while let (item, slot, level) = stack.popLast() {
      depth = max(depth, level)
      let two: (first: Item, second: Item)?
      switch item {
      case .child(.leaf(let leaf), _):
        layOutLeaf(leaf, slot)
        two = nil
      case .child(.branch(let index), let owner):
        two = try layOutBranch(index, owner, slot)
      case .equals(let index, let value):
        two = second(index, value, slot)
      case .members(let index, let range):
        two = members(index, range, slot)
      }
      guard let two else { continue }
      // The first child is laid out next, so that ways of true branches lie together.
      stack.append((two.second, Int(nodes[slot].child) + 1, level + 1))
      stack.append((two.first, Int(nodes[slot].child), level + 1))
    }
  }

  private mutating func layOutLeaf(_ leaf: Int, _ slot: Int) {
    nodes[slot].child = UInt32(slot)
    nodes[slot].flags = UInt32(leaf) << ForestBuilder.leafShift
    let votes = description.voteStarts[leaf]..<description.voteStarts[leaf + 1]
    nodes[slot].threshold = hasOneWeight ? votes.first.map { description.voteWeights[$0] } ?? 0 : 0
  }

  private mutating func layOutBranch(
    _ index: Int, _ owner: Int32, _ slot: Int
  ) throws(MartletError) -> (Item, Item)? {
    if places[index] != ForestBuilder.none {
      guard owners[index] == owner else {
        throw MartletError(
          .invalidArgument,
          "\(operatorName): node \(index) is reached twice, so that what it is in is no tree",
          operatorName: operatorName, expected: "each node below one other", actual: "node \(index)"
        )
      }
      copies.append((Int(places[index]), slot))
      return nil
    }
    places[index] = Int32(slot)
    owners[index] = owner
    let branch = description.branches[index]
    columns = max(columns, branch.feature + 1)
    let (yes, no) = (
      Item.child(branch.onTrue, of: Int32(index)), Item.child(branch.onFalse, of: Int32(index))
    )
    if branch.threshold.isNaN && branch.mode != .member {
      // Nothing compares with what is no number: all numbers go the same way.
      let isTrue = branch.mode == .notEqual
      split(
        slot, branch.feature, .infinity, isStrict: false, nanFirst: branch.isNaNTrue == isTrue)
      return isTrue ? (yes, no) : (no, yes)
    }
    switch branch.mode {
    case .lessOrEqual, .less:
      split(
        slot, branch.feature, branch.threshold, isStrict: branch.mode == .less,
        nanFirst: branch.isNaNTrue)
      return (yes, no)
    case .greater, .greaterOrEqual:
      split(
        slot, branch.feature, branch.threshold, isStrict: branch.mode == .greaterOrEqual,
        nanFirst: !branch.isNaNTrue)
      return (no, yes)
    case .equal, .notEqual: return first(index, branch.threshold, slot)
    case .member: return members(index, branch.members, slot)
    }
  }

  /// What `index` does where its feature equals one of its values, and where it does not.
  private func outcomes(_ index: Int) -> (equal: Item, other: Item) {
    let branch = description.branches[index]
    let (yes, no) = (
      Item.child(branch.onTrue, of: Int32(index)), Item.child(branch.onFalse, of: Int32(index))
    )
    return branch.mode == .notEqual ? (no, yes) : (yes, no)
  }

  /// Equal is <= and then not <. What is no number goes on to the second half where it counts as equal.
  private mutating func first(_ index: Int, _ value: Double, _ slot: Int) -> (Item, Item) {
    let branch = description.branches[index]
    let countsAsEqual = branch.isNaNTrue == (branch.mode != .notEqual)
    split(slot, branch.feature, value, isStrict: false, nanFirst: countsAsEqual)
    return (.equals(index, value), outcomes(index).other)
  }

  private mutating func second(_ index: Int, _ value: Double, _ slot: Int) -> (Item, Item) {
    split(slot, description.branches[index].feature, value, isStrict: true, nanFirst: false)
    let (equal, other) = outcomes(index)
    return (other, equal)
  }

  /// A search for the one member that may equal the feature.
  private mutating func members(
    _ index: Int, _ range: Range<Int>, _ slot: Int
  ) -> (Item, Item) {
    let branch = description.branches[index]
    if range.isEmpty {
      split(slot, branch.feature, .infinity, isStrict: false, nanFirst: !branch.isNaNTrue)
      let (equal, other) = outcomes(index)
      return (other, equal)
    }
    if range.count == 1 { return first(index, description.members[range.lowerBound], slot) }
    let middle = range.lowerBound + range.count / 2
    split(
      slot, branch.feature, description.members[middle - 1], isStrict: false, nanFirst: true)
    return (
      .members(index, range.lowerBound..<middle), .members(index, middle..<range.upperBound)
    )
  }

  /// Makes `slot` a branch with two new children.
  private mutating func split(
    _ slot: Int, _ feature: Int, _ threshold: Double, isStrict: Bool, nanFirst: Bool
  ) {
    nodes[slot].threshold = threshold
    nodes[slot].feature = UInt32(feature)
    nodes[slot].child = UInt32(nodes.count)
    nodes[slot].flags =
      UInt32(MK_TREE_BRANCH) | (nanFirst ? UInt32(MK_TREE_NAN_FIRST) : 0)
      | (isStrict ? ForestBuilder.strict : 0)
    nodes.append(mk_tree_node_f64())
    nodes.append(mk_tree_node_f64())
  }
}
