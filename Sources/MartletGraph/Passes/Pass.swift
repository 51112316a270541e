import MartletCore

/// A rewriting of the graph that keeps what it computes.
package struct Pass: Sendable {
  /// Whether the graphs inside regions are rewritten before the graph around them, which then sees
  /// what they no longer capture, or after it, knowing what it has found out.
  package enum Order: Sendable {
    case innerFirst, outerFirst
  }

  /// The name by which `Model.Options.disabledPasses` and `MARTLET_DISABLE_PASSES` leave it out.
  package let name: String
  private let order: Order
  /// Rewrites one graph, whatever regions its nodes have.
  private let rewrite: @Sendable (inout Graph) throws(MartletError) -> Void

  package init(
    _ name: String, order: Order = .innerFirst,
    _ rewrite: @escaping @Sendable (inout Graph) throws(MartletError) -> Void
  ) {
    self.name = name
    self.order = order
    self.rewrite = rewrite
  }

  /// Rewrites the graph and those inside its regions; types are inferred before. The nodes are in
  /// topological order afterwards.
  ///
  /// In debug builds the graph is verified, and a fault thrown as `internalError` naming the pass.
  package func apply(_ graph: inout Graph) throws(MartletError) {
    try apply(to: &graph, depth: 0)
    guard Pass.verifies else { return }
    do throws(MartletError) { try graph.verify() } catch {
      var error = error
      error.code = .internalError
      error.message = "pass '\(name)' left a faulty graph: \(error.message)"
      throw error
    }
  }

  private func apply(to graph: inout Graph, depth: Int) throws(MartletError) {
    guard depth <= Region.maximumDepth else { throw Region.depthError }
    if order == .innerFirst { try applyInside(&graph, depth) }
    // What a pass keeps of nodes and values is in lists that grow at once.
    try MemoryReserve.checkRoom(1024 * graph.nodes.count + 256 * graph.values.count)
    try rewrite(&graph)
    if !graph.isTopological { try graph.sortTopologically() }
    if order == .outerFirst { try applyInside(&graph, depth) }
  }

  private func applyInside(_ graph: inout Graph, _ depth: Int) throws(MartletError) {
    for index in graph.nodes.indices where !graph.nodes[index].regions.isEmpty {
      graph.refreshRegions(of: index)
      // Taken out, so that the graphs are changed in their place.
      var regions = graph.nodes[index].regions
      graph.nodes[index].regions = []
      defer { graph.nodes[index].regions = regions }
      for position in regions.indices {
        do throws(MartletError) {
          try apply(to: &regions[position].graph, depth: depth + 1)
        } catch {
          throw error.at(graph.nodes[index])
        }
      }
    }
  }

  /// Whether this is a debug build.
  private static let verifies: Bool = {
    var isDebug = false
    assert(
      {
        isDebug = true
        return true
      }())
    return isDebug
  }()
}
