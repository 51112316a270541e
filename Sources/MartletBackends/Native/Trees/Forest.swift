import MartletCore
import MartletKernels

/// Decision trees that vote for targets: laid out once, then walked by any number of threads.
///
/// Votes are summed in float64, tree after tree within blocks of trees that depend on the model alone,
/// then block after block: the same bits for any number of rows and threads.
/// Complexity: rows times the branches on the ways down.
package final class Forest: Sendable {
  package let targets: Int
  package let treeCount: Int
  /// Features that rows must have.
  package let columns: Int
  private let aggregate: ForestDescription.Aggregate
  private let nodes: [mk_tree_node_f64]
  private let roots: [UInt32]
  private let blocks: [Range<Int>]
  private let depth: Int
  /// Whether each leaf's threshold is all that it votes.
  private let hasOneWeight: Bool
  /// Where the votes of each leaf begin, and those of the last end.
  private let voteStarts: [Int]
  private let votes: [Vote]
  /// Whether what is no number may count as <=.
  private let heedsNaN: Bool
  /// Whether float32 has all thresholds, and all weights that stand in their place.
  package let fitsFloat32: Bool
  private let singles = Lock<[mk_tree_node_f32]?>(nil)
  private let doubles = Lock<[mk_tree_node_f64]?>(nil)

  fileprivate struct Vote {
    let target: Int32
    let weight: Double
  }

  /// Nodes and trees of a block: a quarter of a mebibyte, which stays in the cache of a core.
  private static let blockNodes = 1 << 14
  private static let blockTrees = 64
  /// Rows that go through a block together; fewer than `lanes` go one by one down several trees.
  private static let tile = 64
  private static let lanes = 8

  /// Throws `invalidArgument` for what is no forest.
  package init(_ description: ForestDescription, operatorName: String) throws(MartletError) {
    targets = description.targets
    aggregate = description.aggregate
    treeCount = description.roots.count
    let isSum = aggregate == .sum || aggregate == .average
    hasOneWeight =
      isSum && targets == 1
      && (0..<description.leafCount).allSatisfy {
        description.voteStarts[$0 + 1] - description.voteStarts[$0] <= 1
      }
    let built = try ForestBuilder(
      description, hasOneWeight: hasOneWeight, operatorName: operatorName)
    (nodes, roots, columns, depth) = (built.nodes, built.roots, built.columns, built.depth)
    blocks = Forest.blocks(built.roots, end: built.nodes.count)
    voteStarts = hasOneWeight ? [] : description.voteStarts
    votes =
      hasOneWeight
      ? []
      : zip(description.voteTargets, description.voteWeights).map {
        Vote(target: $0, weight: $1)
      }
    let nanFirst = UInt32(MK_TREE_NAN_FIRST | MK_TREE_BRANCH)
    heedsNaN = nodes.contains { $0.flags & nanFirst == nanFirst }
    fitsFloat32 = nodes.allSatisfy {
      Double(Float($0.threshold)) == $0.threshold || $0.threshold.isNaN
    }
  }

  private static func blocks(_ roots: [UInt32], end: Int) -> [Range<Int>] {
    var blocks: [Range<Int>] = []
    var first = 0
    for tree in roots.indices {
      let next = tree + 1 < roots.count ? Int(roots[tree + 1]) : end
      if next - Int(roots[first]) > blockNodes || tree - first >= blockTrees, tree > first {
        blocks.append(first..<tree)
        first = tree
      }
    }
    if first < roots.count { blocks.append(first..<roots.count) }
    return blocks
  }

  /// Votes of `rows` rows of `width` features each, at least `columns`, contiguous and of float32 (where
  /// `fitsFloat32`) or float64: totals [rows, targets], float64, of which those without a vote are 0.
  ///
  /// `finish` is called once for each row, in ranges, by any thread, when its totals are there.
  package func evaluate(
    _ x: Tensor, rows: Int, width: Int, into totals: UnsafeMutablePointer<Double>,
    _ workspace: Workspace, finish: (Range<Int>) -> Void
  ) throws(MartletError) {
    if rows == 0 { return }
    guard width > 0 else {
      // Leaves look at a feature too, whatever it is.
      let none = try workspace.scratch(x.dtype, [rows, 1])
      none.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: none.byteCount)
      return try evaluate(none, rows: rows, width: 1, into: totals, workspace, finish: finish)
    }
    if x.dtype == .float32 {
      let nodes = prepared(singles, Float.self)
      try evaluate(nodes, x.typed(Float.self), rows, width, totals, workspace, finish)
    } else {
      let nodes = prepared(doubles, Double.self)
      try evaluate(nodes, x.typed(Double.self), rows, width, totals, workspace, finish)
    }
  }

  /// The nodes for values of one type, made at their first use.
  private func prepared<T: TreeValue>(
    _ known: borrowing Lock<[T.Node]?>, _: T.Type
  ) -> [T.Node] {
    if let nodes = known.withLock({ $0 }) { return nodes }
    let made = nodes.map { T.node($0) }
    known.withLock { $0 = made }
    return made
  }

  private func evaluate<T: TreeValue>(
    _ nodes: [T.Node], _ x: UnsafePointer<T>, _ rows: Int, _ width: Int,
    _ totals: UnsafeMutablePointer<Double>, _ workspace: Workspace, _ finish: (Range<Int>) -> Void
  ) throws(MartletError) {
    let pool = workspace.pool
    // 2 ns a step, about, of walks to half the depth.
    let (work, isLong) = rows.multipliedReportingOverflow(by: treeCount * (depth + 2))
    let threads = pool.threadCount(forNanoseconds: isLong ? .max : work)
    // Several tiles a thread, of whole groups of walks.
    let tile = min(Forest.tile, max(8, (rows / max(4 * threads, 1) + 7) / 8 * 8))
    let tiles = (rows + tile - 1) / tile
    let size = rows * targets
    let splitsTrees = threads > 1 && tiles < threads && blocks.count > 1 && size <= 1 << 14
    let partials = try workspace.scratch(
      .float64, [splitsTrees ? blocks.count : 1, size]
    ).typed(Double.self)
    nodes.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else {
        totals.update(repeating: 0, count: size)
        return finish(0..<rows)
      }
      let walker = Walker(forest: self, nodes: base, x: x, width: width)
      if splitsTrees {
        pool.parallelFor(blocks.count) { block in
          walker.run(blocks[block], 0..<rows, partials + block * size)
        }
        for block in blocks.indices {
          gather(partials + block * size, into: totals, size, isFirst: block == 0)
        }
        settle(totals, size)
        return finish(0..<rows)
      }
      func run(_ index: Int) {
        let range = index * tile..<min((index + 1) * tile, rows)
        let (place, count) = (range.lowerBound * targets, range.count * targets)
        for (block, trees) in blocks.enumerated() {
          walker.run(trees, range, partials + place)
          gather(partials + place, into: totals + place, count, isFirst: block == 0)
        }
        settle(totals + place, count)
        finish(range)
      }
      if threads > 1 {
        pool.parallelFor(tiles, run)
      } else {
        for index in 0..<tiles { run(index) }
      }
    }
  }

  /// Adds one block's votes to those of the blocks before.
  private func gather(
    _ partial: UnsafeMutablePointer<Double>, into totals: UnsafeMutablePointer<Double>,
    _ count: Int, isFirst: Bool
  ) {
    if isFirst { return totals.update(from: partial, count: count) }
    switch aggregate {
    case .sum, .average: for i in 0..<count { totals[i] += partial[i] }
    case .minimum: for i in 0..<count { totals[i] = Double.minimum(totals[i], partial[i]) }
    case .maximum: for i in 0..<count { totals[i] = Double.maximum(totals[i], partial[i]) }
    }
  }

  private func settle(_ totals: UnsafeMutablePointer<Double>, _ count: Int) {
    switch aggregate {
    case .sum: return
    case .average: for i in 0..<count { totals[i] /= Double(treeCount) }
    // Where nothing voted.
    case .minimum, .maximum: for i in 0..<count where totals[i].isNaN { totals[i] = 0 }
    }
  }

  /// A run's rows on their way through the trees.
  private struct Walker<T: TreeValue> {
    let forest: Forest
    let nodes: UnsafePointer<T.Node>
    let x: UnsafePointer<T>
    let width: Int

    /// What these trees vote for these rows, [rows, targets].
    func run(_ trees: Range<Int>, _ rows: Range<Int>, _ votes: UnsafeMutablePointer<Double>) {
      let isSum = forest.aggregate == .sum || forest.aggregate == .average
      votes.update(repeating: isSum ? 0 : .nan, count: rows.count * forest.targets)
      withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Forest.blockTrees) { leaves in
        guard let leaves = leaves.baseAddress else { return }
        for start in stride(from: rows.lowerBound, to: rows.upperBound, by: Forest.tile) {
          let part = start..<min(start + Forest.tile, rows.upperBound)
          let own = votes + (start - rows.lowerBound) * forest.targets
          run(trees, part, own, leaves)
        }
      }
    }

    private func run(
      _ trees: Range<Int>, _ rows: Range<Int>, _ votes: UnsafeMutablePointer<Double>,
      _ leaves: UnsafeMutablePointer<UInt32>
    ) {
      let first = x + rows.lowerBound * width
      let nan = forest.heedsNaN && T.hasNaN(first, rows: rows.count, columns: width)
      forest.roots.withUnsafeBufferPointer { roots in
        guard let roots = roots.baseAddress else { return }
        if rows.count < Forest.lanes {
          for row in 0..<rows.count {
            T.walk(
              nodes, roots: roots + trees.lowerBound, trees: trees.count, first + row * width,
              mayHaveNaN: nan, leaves)
            if forest.hasOneWeight {
              votes[row] = T.sum(nodes, leaves, trees.count, votes[row])
            } else {
              count(leaves, trees.count, into: votes + row * forest.targets, step: 0)
            }
          }
          return
        }
        for tree in trees {
          T.walk(
            nodes, root: roots[tree], first, columns: width, rows: rows.count, mayHaveNaN: nan,
            leaves)
          if forest.hasOneWeight {
            T.add(nodes, leaves, rows.count, to: votes)
          } else {
            count(leaves, rows.count, into: votes, step: forest.targets)
          }
        }
      }
    }

    /// Counts what each leaf votes, the next `step` targets further on.
    private func count(
      _ leaves: UnsafeMutablePointer<UInt32>, _ leafCount: Int,
      into totals: UnsafeMutablePointer<Double>, step: Int
    ) {
      forest.voteStarts.withUnsafeBufferPointer { starts in
        forest.votes.withUnsafeBufferPointer { votes in
          guard let starts = starts.baseAddress, let votes = votes.baseAddress else { return }
          for index in 0..<leafCount {
            let leaf = Int(T.flags(nodes[Int(leaves[index])]) >> ForestBuilder.leafShift)
            let own = totals + index * step
            for vote in starts[leaf]..<starts[leaf + 1] {
              let target = Int(votes[vote].target)
              let weight = votes[vote].weight
              switch forest.aggregate {
              case .sum, .average: own[target] += weight
              case .minimum: own[target] = Double.minimum(own[target], weight)
              case .maximum: own[target] = Double.maximum(own[target], weight)
              }
            }
          }
        }
      }
    }
  }
}
