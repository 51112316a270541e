import MartletCore
import MartletOperators
import Synchronization

/// A region as the operator of its node sees it, which also remembers what was inferred inside.
final class GraphRegion: RegionDescription {
  let name: String
  let inputCount: Int
  let outputCount: Int
  private let region: Region
  private let budget: InferenceBudget?
  /// How many nodes the region's graph lies within.
  private let depth: Int
  /// The last question and its answer.
  private let last = Lock<(inputs: [ValueType?], graph: Graph)?>(nil)

  /// `region` knows the types of what it captures.
  init(_ region: Region, _ budget: InferenceBudget?, depth: Int) {
    name = region.name
    inputCount = region.formalCount
    outputCount = region.graph.outputs.count
    self.region = region
    self.budget = budget
    self.depth = depth
  }

  func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let graph = try inferred(inputs)
    return graph.outputs.map { graph.values[$0.value].type }
  }

  /// The region's graph with the types that followed from the last question; where there was none,
  /// from nothing known.
  func inferredGraph() throws(MartletError) -> Graph {
    if let last = last.withLock({ $0 }) { return last.graph }
    return try inferred([ValueType?](repeating: nil, count: inputCount))
  }

  private func inferred(_ inputs: [ValueType?]) throws(MartletError) -> Graph {
    guard inputs.count == inputCount else {
      throw MartletError(
        .invalidModel, "region '\(name)' has \(inputCount) inputs, \(inputs.count) are given",
        expected: "\(inputs.count) inputs", actual: "\(inputCount)")
    }
    if let last = last.withLock({ $0 }), isSame(last.inputs, inputs) { return last.graph }
    var graph = region.graph
    for (id, type) in zip(graph.inputs, inputs) {
      // What earlier questions said of shapes does not hold for this one.
      let known = graph.values[id].type
      if type?.compound == nil && known.compound == nil {
        graph.values[id].type = ValueType(
          dtype: type?.dtype ?? known.dtype, shape: type?.shape, elements: type?.elements)
      } else {
        graph.values[id].type = type?.withoutElements ?? known
      }
    }
    let budget = budget ?? InferenceBudget(for: graph.nodes)
    if budget.take() {
      try graph.inferTypes(budget, depth: depth)
    } else {
      // What follows from these inputs is not worked out, so what followed from others goes too.
      for id in graph.nodes.lazy.flatMap(\.outputs) {
        let known = graph.values[id].type
        graph.values[id].type = known.compound == nil ? .unknown(known.dtype) : known
      }
    }
    // What was remembered goes outside the lock.
    _ = last.withLock { last in
      defer { last = (inputs, graph) }
      return last
    }
    return graph
  }

  private func isSame(_ a: [ValueType?], _ b: [ValueType?]) -> Bool {
    zip(a, b).allSatisfy { x, y in
      switch (x, y) {
      case (nil, nil): true
      case (let x?, let y?): x.isSame(as: y)
      default: false
      }
    }
  }
}

/// How many regions may be inferred in one go: one question, or a whole load (`Graph.inferenceBudget`).
/// Each level of loops may ask twice what is inside, and each level below twice for that: without a
/// limit, sixty levels would never end.
package final class InferenceBudget: Sendable {
  private let left: Atomic<Int>

  /// Enough for every region to be asked many times.
  init(for nodes: [Node]) {
    left = Atomic(1_000 + 16 * InferenceBudget.regionCount(nodes, depth: 0))
  }

  /// That of a whole load, whose passes ask again and again.
  package init(loading nodes: [Node]) {
    left = Atomic(10_000)
    grant(regions: InferenceBudget.regionCount(nodes, depth: 0))
  }

  /// Enough for a pass after another to ask what is inside these, under a few levels of loops.
  package func grant(regions: Int) {
    left.wrappingAdd(32 * regions, ordering: .relaxed)
  }

  /// Number of regions down to the depth that is permitted.
  private static func regionCount(_ nodes: [Node], depth: Int) -> Int {
    guard depth < Region.maximumDepth else { return 0 }
    return nodes.reduce(0) { count, node in
      node.regions.reduce(count) { $0 + 1 + regionCount($1.graph.nodes, depth: depth + 1) }
    }
  }

  /// False once all is spent: nothing but dtypes is then known inside.
  func take() -> Bool {
    left.wrappingSubtract(1, ordering: .relaxed).oldValue > 0
  }
}

extension Region {
  static let depthError = MartletError(
    .invalidModel, "graphs are nested deeper than \(maximumDepth)",
    expected: "at most \(maximumDepth) levels")
}
