import MartletCore

/// Orders things so that each comes after what it needs.
package enum TopologicalOrder {
  /// What came of it: all indices in order, or the indices along one cycle.
  package enum Result: Equatable {
    case order([Int])
    case cycle([Int])
  }

  /// Depth-first from each index in turn, so that an order which is already valid stays as it is.
  ///
  /// Complexity: O(count + edges); no recursion, so depth is bounded by memory alone.
  package static func sort(count: Int, predecessors: (Int) -> [Int]) -> Result {
    enum Mark { case new, open, done }
    var marks = [Mark](repeating: .new, count: count)
    var order: [Int] = []
    order.reserveCapacity(count)
    for root in 0..<count where marks[root] == .new {
      var stack: [(index: Int, pending: [Int])] = [(root, predecessors(root).reversed())]
      marks[root] = .open
      while let top = stack.indices.last {
        guard let next = stack[top].pending.popLast() else {
          let finished = stack.removeLast().index
          marks[finished] = .done
          order.append(finished)
          continue
        }
        switch marks[next] {
        case .done: continue
        case .open:
          let start = stack.firstIndex { $0.index == next } ?? 0
          // Predecessors were followed backwards; the cycle reads along the data, first node first.
          let cycle: [Int] = stack[start...].map(\.index).reversed()
          let first = cycle.indices.min { cycle[$0] < cycle[$1] } ?? 0
          return .cycle(Array(cycle[first...] + cycle[..<first]))
        case .new:
          marks[next] = .open
          stack.append((next, predecessors(next).reversed()))
        }
      }
    }
    return .order(order)
  }
}

extension Graph {
  /// Reorders the nodes so that each stands after those whose outputs it reads.
  ///
  /// Throws `invalidModel` naming the nodes along a cycle.
  package mutating func sortTopologically() throws(MartletError) {
    let producers = producers()
    let nodes = nodes
    let result = TopologicalOrder.sort(count: nodes.count) { index in
      nodes[index].reads.compactMap { producers[$0] }
    }
    switch result {
    case .order(let order): self.nodes = order.map { nodes[$0] }
    case .cycle(let cycle): throw Graph.cycleError(cycle.map { nodes[$0].name })
    }
  }

  /// Whether each node stands after those whose outputs it reads.
  package var isTopological: Bool {
    var isLater = [Bool](repeating: false, count: values.count)
    for node in nodes {
      for output in node.outputs { isLater[output] = true }
    }
    for node in nodes {
      for id in node.reads where isLater[id] { return false }
      for output in node.outputs { isLater[output] = false }
    }
    return true
  }

  /// The error for nodes that wait for each other in a circle.
  package static func cycleError(_ names: [String]) -> MartletError {
    let shown = names.prefix(8).map { "'\($0)'" }
    let more = names.count > 8 ? " -> … (\(names.count) nodes)" : ""
    let path = (shown + (names.count > 8 ? [] : shown.prefix(1))).joined(separator: " -> ") + more
    return MartletError(
      .invalidModel, "the graph has a cycle: \(path)", node: names.first,
      expected: "an acyclic graph", actual: "a cycle of \(names.count) nodes")
  }
}
