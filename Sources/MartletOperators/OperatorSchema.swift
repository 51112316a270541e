import MartletCore

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

extension OperatorSchema {
  /// The name of input `index`.
  package func inputName(_ index: Int) -> String {
    index < inputs.count
      ? inputs[index] : inputs.last.map { "\($0)[\(index - inputs.count + 1)]" } ?? "input \(index)"
  }

  /// Throws `invalidDType` for a string where the operator takes none, `invalidArgument` for what is no
  /// tensor where it takes nothing else. What else it takes, the operator says itself.
  package func check(_ kind: ValueKind, input index: Int) throws(MartletError) {
    if case .tensor(let dtype, _) = kind {
      guard dtype == .string, !traits.takesAnyElement else { return }
      throw .dtype(name, inputName(index), expected: "a dtype other than string", actual: .string)
    }
    guard !traits.takesAnyKind else { return }
    throw MartletError(
      .invalidArgument, "\(name): input '\(inputName(index))' is \(kind.text), not a tensor",
      operatorName: name, input: inputName(index), expected: "a tensor", actual: kind.text)
  }

  /// `check` for a value of a run.
  package func check(_ value: Value?, input index: Int) throws(MartletError) {
    switch value {
    case nil: return
    case .tensor(let tensor)? where tensor.dtype != .string: return
    case let value?: try check(value.kind, input: index)
    }
  }
}
