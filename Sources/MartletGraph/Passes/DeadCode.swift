import MartletCore

/// Removes nodes whose outputs nothing reads, and the elements of constants that nothing reads.
enum DeadCode {
  static let pass = Pass("dead-code") { graph throws(MartletError) in remove(&graph) }

  static func remove(_ graph: inout Graph) {
    for index in graph.nodes.indices where !graph.nodes[index].regions.isEmpty {
      dropUnreadCaptures(&graph.nodes[index])
    }
    let producers = graph.producers()
    var isRead = [Bool](repeating: false, count: graph.values.count)
    var isLive = [Bool](repeating: false, count: graph.nodes.count)
    var pending = graph.outputs.map(\.value)
    while let id = pending.popLast() {
      guard !isRead[id] else { continue }
      isRead[id] = true
      guard let index = producers[id], !isLive[index] else { continue }
      isLive[index] = true
      pending += graph.nodes[index].reads
    }
    graph.removeNodes(Set(graph.nodes.indices.filter { !isLive[$0] }))
    // Frees what folding used up, and unmaps files that are no longer needed.
    for id in graph.values.indices where !isRead[id] { graph.values[id].type.constant = nil }
  }

  /// What a region no longer reads need not be computed for it.
  private static func dropUnreadCaptures(_ node: inout Node) {
    for index in node.regions.indices {
      let counts = node.regions[index].graph.useCounts()
      if node.regions[index].capturedInputs.contains(where: { counts[$0] == 0 }) {
        node.regions[index].dropCaptures { counts[$0] == 0 }
      }
    }
  }
}
