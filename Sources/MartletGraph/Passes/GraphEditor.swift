import MartletCore
import MartletOperators

/// Rewrites a graph node by node, with an index of makers and readers that stays true.
///
/// Nodes keep their positions while the editor lives; what is added stands behind them. A node that
/// lost its last reader is gone at once, so that a value which it read may be read once from then on.
struct GraphEditor {
  private(set) var graph: Graph
  private(set) var index: GraphIndex
  private var removed: Set<Int> = []

  /// Lets `body` edit `graph`, and leaves it in topological order.
  ///
  /// Throws what `body` throws, with the graph as it was then.
  static func edit(
    _ graph: inout Graph, _ body: (inout GraphEditor) throws(MartletError) -> Void
  ) throws(MartletError) {
    var editor = GraphEditor(graph)
    // The editor's is the only reference, so that it is changed in its place.
    graph = Graph()
    do throws(MartletError) { try body(&editor) } catch {
      graph = editor.graph
      throw error
    }
    let removed = editor.removed
    graph = editor.graph
    graph.removeNodes(removed)
    if !graph.isTopological { try graph.sortTopologically() }
  }

  private init(_ graph: Graph) {
    self.graph = graph
    index = GraphIndex(graph)
  }

  /// The positions of the nodes that there were at the start; see `isLive`.
  var positions: Range<Int> { graph.nodes.indices }

  /// Whether the node at this position is still there.
  func isLive(_ position: Int) -> Bool { !removed.contains(position) }

  // MARK: - Editing

  /// Puts `node` in the place of the one at `position`, and infers the types of its outputs.
  ///
  /// Throws what its operator throws.
  mutating func replace(_ position: Int, with node: Node) throws(MartletError) {
    let old = graph.nodes[position]
    index.remove(old, at: position)
    graph.nodes[position] = node
    index.insert(node, at: position)
    try graph.inferNode(position)
    for id in old.reads { removeUnread(id) }
  }

  /// Adds a node with one output, which it gives, of an inferred type.
  mutating func add(
    _ op: OperatorID, name: String, inputs: [ValueID?],
    attributes: [String: AttributeValue] = [:]
  ) throws(MartletError) -> ValueID {
    let id = graph.addNode(
      op, name: name, inputs: inputs, outputs: [name], attributes: attributes)[0]
    let position = graph.nodes.count - 1
    index.insert(graph.nodes[position], at: position)
    try graph.inferNode(position)
    return id
  }

  mutating func addConstant(_ name: String, _ tensor: Tensor) -> ValueID {
    graph.addConstant(name, tensor)
  }

  mutating func addConstant(
    _ name: String, _ shape: [Int], _ elements: [Float]
  ) throws(MartletError) -> ValueID {
    try graph.addConstant(name, shape, elements)
  }

  /// Removes the node that makes `id`, if nothing reads any of its outputs, and so on.
  private mutating func removeUnread(_ id: ValueID) {
    var pending = [id]
    while let id = pending.popLast() {
      guard !index.isRead(id), let position = index.position(of: id) else { continue }
      let node = graph.nodes[position]
      guard !node.outputs.contains(where: { index.isRead($0) }) else { continue }
      index.remove(node, at: position)
      removed.insert(position)
      pending += node.reads
    }
  }
}
