import MartletCore

/// A subgraph of a node, as the node's operator sees it before a run.
///
/// What the subgraph takes from the graph around it is not the operator's matter: counts and types
/// are those of the formal inputs, which the operator gives.
package protocol RegionDescription: Sendable {
  /// The attribute's name in ONNX: `then_branch`, `else_branch`, `body`.
  var name: String { get }
  var inputCount: Int { get }
  var outputCount: Int { get }

  /// The types of the outputs for inputs of these types (nil: nothing known); one per output.
  ///
  /// May be asked several times, with more and more general types: what holds in every run is what
  /// the last question said, and what is known inside the region follows from that.
  /// Throws what the operators inside throw, `invalidModel` for a wrong number of inputs.
  func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType]
}

extension OperatorNode {
  /// The region of this name, or nil.
  package func region(_ name: String) -> (any RegionDescription)? {
    regions.first { $0.name == name }
  }
}
