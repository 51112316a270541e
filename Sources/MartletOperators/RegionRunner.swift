import MartletCore

/// A subgraph of the current node, ready to run.
package protocol RegionRunner: AnyObject {
  /// Computes the outputs from the formal inputs; what the subgraph captures it has by itself.
  ///
  /// Throws what the operators inside throw, with their nodes named.
  func run(_ inputs: [Value?], _ context: RunContext) throws(MartletError) -> [Value?]
}
