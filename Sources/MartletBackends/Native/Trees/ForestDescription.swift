/// Decision trees as a model lists them: branches and leaves by number, votes by leaf.
package struct ForestDescription {
  /// How a branch compares a feature with its threshold.
  package enum Mode: Int, Sendable {
    case lessOrEqual, less, greaterOrEqual, greater, equal, notEqual
    /// Whether the feature is one of the branch's members.
    case member
  }

  package enum Child: Hashable, Sendable {
    case branch(Int)
    case leaf(Int)
  }

  package struct Branch {
    package var mode: Mode
    package var threshold: Double
    package var feature: Int
    package var onTrue: Child
    package var onFalse: Child
    /// Whether what is no number counts as true.
    package var isNaNTrue: Bool
    /// Of `members`, for `Mode.member`.
    package var members: Range<Int>

    package init(
      mode: Mode, threshold: Double, feature: Int, onTrue: Child, onFalse: Child, isNaNTrue: Bool,
      members: Range<Int> = 0..<0
    ) {
      self.mode = mode
      self.threshold = threshold
      self.feature = feature
      self.onTrue = onTrue
      self.onFalse = onFalse
      self.isNaNTrue = isNaNTrue
      self.members = members
    }
  }

  package enum Aggregate: Int, Sendable {
    case average, sum, minimum, maximum
  }

  package var branches: [Branch] = []
  package var members: [Double] = []
  package var roots: [Child] = []
  /// Where the votes of each leaf begin, and where those of the last end.
  package var voteStarts: [Int] = [0]
  /// The target and the weight of each vote; the caller has checked that the targets are there.
  package var voteTargets: [Int32] = []
  package var voteWeights: [Double] = []
  package var targets = 1
  package var aggregate = Aggregate.sum

  package init() {}

  package var leafCount: Int { voteStarts.count - 1 }
}
