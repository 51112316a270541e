import MartletOperators

/// One use of an operator.
package struct Node: Sendable {
  /// The name in the model's file; of a fused node, the name of its matrix product.
  package var name: String
  package var op: OperatorID
  /// nil: an optional input that is absent.
  package var inputs: [ValueID?]
  package var outputs: [ValueID]
  package var attributes: [String: AttributeValue]
  /// Subgraphs: the branches of If, the body of a loop.
  package var regions: [Region]
  /// Names of further nodes of the model that this one does the work of.
  package var fused: [String]

  package init(
    name: String, op: OperatorID, inputs: [ValueID?], outputs: [ValueID],
    attributes: [String: AttributeValue] = [:], regions: [Region] = [], fused: [String] = []
  ) {
    self.name = name
    self.op = op
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
    self.regions = regions
    self.fused = fused
  }

  /// Every value that the node reads: its inputs, and what its regions capture.
  package var reads: [ValueID] {
    var reads: [ValueID] = []
    reads.reserveCapacity(inputs.count)
    for case let input? in inputs { reads.append(input) }
    for region in regions { reads += region.captures }
    return reads
  }

  /// Reads `replacement(value)` in the place of each value, as an input or a capture.
  package mutating func replaceReads(_ replacement: (ValueID) -> ValueID) {
    for slot in inputs.indices { inputs[slot] = inputs[slot].map(replacement) }
    for index in regions.indices {
      regions[index].captures = regions[index].captures.map(replacement)
    }
  }

  /// What is true of the node's operator; nothing, where Martlet does not know it.
  package var traits: OperatorTraits {
    OperatorTable.lookup(op)?.schema.traits ?? []
  }
}
