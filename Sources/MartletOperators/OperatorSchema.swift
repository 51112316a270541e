/// What an operator takes and gives; the table is walked by callers, importers, tests and docs.
package struct OperatorSchema: Sendable {
  package let id: OperatorID
  /// The operator's name in messages and reports.
  package let name: String
  /// Input names in order; those from `requiredInputs` on may be absent.
  package let inputs: [String]
  package let requiredInputs: Int
  /// Whether the last named input may repeat (Concat, Max, …).
  package let isVariadic: Bool
  package let outputs: [String]
  /// Attribute names with a sentence each.
  package let attributes: [String: String]
  package let traits: OperatorTraits

  package init(
    name: String, domain: String = "", inputs: [String], requiredInputs: Int? = nil,
    isVariadic: Bool = false,
    outputs: [String] = ["output"], attributes: [String: String] = [:],
    traits: OperatorTraits = []
  ) {
    id = OperatorID(name, domain: domain)
    self.name = id.description
    self.inputs = inputs
    self.requiredInputs = requiredInputs ?? inputs.count
    self.isVariadic = isVariadic
    self.outputs = outputs
    self.attributes = attributes
    self.traits = traits
  }
}
