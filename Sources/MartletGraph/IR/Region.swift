import MartletCore
import MartletOperators

/// A subgraph of a node: a branch of If, the body of a loop.
///
/// Nothing inside refers outside: a value of the enclosing graph comes in as an input, after the
/// formal ones, and constants are copied (their elements are shared).
package struct Region: Sendable {
  /// Graphs nested deeper than this are refused, so that what walks them needs a bounded stack.
  package static let maximumDepth = 64

  /// The attribute's name in ONNX: `then_branch`, `else_branch`, `body`.
  package var name: String
  /// Its inputs are the formal ones, which the node gives, then one for each capture.
  package var graph: Graph
  /// The values of the enclosing graph that the last inputs stand for.
  package var captures: [ValueID]

  package init(name: String, graph: Graph, captures: [ValueID] = []) {
    self.name = name
    self.graph = graph
    self.captures = captures
  }

  /// Number of inputs that the node gives.
  package var formalCount: Int { max(graph.inputs.count - captures.count, 0) }

  /// The inputs that stand for the captures, in their order.
  package var capturedInputs: ArraySlice<ValueID> { graph.inputs.dropFirst(formalCount) }

  /// Drops the captures for whose input `isDropped` holds; the input becomes a value that only its
  /// type tells of.
  mutating func dropCaptures(where isDropped: (ValueID) -> Bool) {
    let formals = formalCount
    var (inputs, kept) = (Array(graph.inputs.prefix(formals)), [ValueID]())
    for (capture, input) in zip(captures, graph.inputs.dropFirst(formals)) where !isDropped(input) {
      kept.append(capture)
      inputs.append(input)
    }
    captures = kept
    graph.inputs = inputs
  }
}

extension Graph {
  /// Tells the regions of node `index` what is known of the values that they capture: types, and
  /// constants, which are then captured no more.
  package mutating func refreshRegions(of index: Int) {
    // Taken out, so that the graphs are changed in their place.
    var regions = nodes[index].regions
    nodes[index].regions = []
    for position in regions.indices { refresh(&regions[position]) }
    nodes[index].regions = regions
  }

  func refresh(_ region: inout Region) {
    var constants: Set<ValueID> = []
    for (capture, input) in zip(region.captures, region.capturedInputs) {
      let type = values[capture].type
      region.graph.values[input].type = type.completed(by: region.graph.values[input].type)
      if type.constant != nil { constants.insert(input) }
    }
    if !constants.isEmpty { region.dropCaptures { constants.contains($0) } }
  }
}
