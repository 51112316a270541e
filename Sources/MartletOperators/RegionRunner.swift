import MartletCore

/// A subgraph of the current node, ready to run.
///
/// What the subgraph captures it has by itself. Runs throw what the operators inside throw, with their
/// nodes named.
package protocol RegionRunner: AnyObject {
  /// Computes the outputs from the formal inputs.
  func run(_ inputs: [Value?], _ context: RunContext) throws(MartletError) -> [Value?]

  // MARK: - Many runs in a row

  /// Sets a formal input of the runs to come.
  func give(_ value: Value?, to input: Int)

  /// Computes the outputs.
  func step(_ context: RunContext) throws(MartletError)

  /// An output of the last step. It may lie where the next one writes: until then it may be read, and
  /// be given to any input of it.
  func output(_ index: Int) -> Value?

  /// `value`, an output of the last step, as it outlives the next.
  func lasting(_ value: Value?) throws(MartletError) -> Value?

  /// Lets go of inputs and outputs, once all steps are done.
  func finish()
}
