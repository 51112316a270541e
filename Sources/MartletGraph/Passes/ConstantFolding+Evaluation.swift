import MartletCore
import MartletOperators

/// The node that makes each value of a graph that grows, and that nothing is removed from.
package struct ValueMakers: Sendable {
  private var makers: [Int?] = []
  private var seen = 0

  package init() {}

  fileprivate mutating func look(at graph: Graph) {
    while makers.count < graph.values.count { makers.append(nil) }
    for index in seen..<max(graph.nodes.count, seen) {
      for output in graph.nodes[index].outputs { makers[output] = index }
    }
    seen = graph.nodes.count
  }

  fileprivate subscript(id: ValueID) -> Int? { makers[id] }
}

extension Graph {
  /// The value of `id`, where it is known before any run and follows from few nodes.
  ///
  /// Complexity: O(n) for those nodes, whatever the graph's size.
  package func evaluate(
    _ id: ValueID, _ makers: inout ValueMakers
  ) throws(MartletError) -> Tensor? {
    if let constant = values[id].constant { return constant }
    makers.look(at: self)
    // Only what `id` depends on, in a graph of its own, so that this one stays as it is.
    guard let needed = nodes(before: id, makers), !needed.isEmpty else { return nil }
    var part = Graph(name: name)
    part.inferenceBudget = inferenceBudget
    var places: [ValueID: ValueID] = [:]
    func place(_ id: ValueID) -> ValueID {
      if let place = places[id] { return place }
      let place = part.addValue(values[id].name, values[id].type)
      places[id] = place
      return place
    }
    for index in needed {
      var node = nodes[index]
      guard node.regions.isEmpty else {
        // What is inside is not run; its result may be known for all that.
        if let output = node.outputs.first,
          let known = ConstantFolding.inferredValues(of: node, in: self)?.first
        {
          part.values[place(output)].type = Graph.constantType(known)
        }
        continue
      }
      node.inputs = node.inputs.map { $0.map(place) }
      node.outputs = node.outputs.map(place)
      part.nodes.append(node)
    }
    guard let result = places[id] else { return nil }
    try ConstantFolding.fold(&part)
    return part.values[result].constant
  }

  /// More nodes than this are not followed: a condition hangs on a few.
  private static let evaluatedNodes = 4096

  /// The nodes that `id` depends on, in order; nil where they are too many. Those behind a constant, and
  /// behind a node with regions, are not looked at.
  private func nodes(before id: ValueID, _ makers: ValueMakers) -> [Int]? {
    var needed: Set<Int> = []
    var pending = [id]
    while let id = pending.popLast() {
      guard values[id].constant == nil, let index = makers[id], needed.insert(index).inserted else {
        continue
      }
      guard needed.count <= Graph.evaluatedNodes else { return nil }
      if nodes[index].regions.isEmpty { pending += nodes[index].reads }
    }
    return needed.sorted()
  }
}
