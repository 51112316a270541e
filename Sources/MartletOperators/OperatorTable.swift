import MartletCore

/// All operators, one line each.
package enum OperatorTable {
  package static let all: [any Operator.Type] = []

  private static let byName: [String: any Operator.Type] = Dictionary(
    all.map { ($0.schema.name, $0) }, uniquingKeysWith: { first, _ in first })

  /// The operator of this name, or nil.
  package static func lookup(_ name: String) -> (any Operator.Type)? { byName[name] }

  /// Makes the operator `name` for a node; throws `notFound` for an unknown name and
  /// `invalidArgument` for a wrong number of inputs or an unknown attribute.
  package static func make(_ name: String, _ node: OperatorNode) throws(MartletError)
    -> any Operator
  {
    guard let type = lookup(name) else {
      throw MartletError(
        .notFound, "unknown operator '\(name)'", operatorName: name,
        expected: "one of the \(all.count) operators that Martlet knows", actual: name)
    }
    let schema = type.schema
    guard node.inputCount >= schema.requiredInputs,
      schema.isVariadic || node.inputCount <= schema.inputs.count
    else {
      let most = schema.isVariadic ? "or more" : "to \(schema.inputs.count)"
      throw MartletError(
        .invalidArgument,
        "\(name): expected \(schema.requiredInputs) \(most) inputs, got \(node.inputCount)",
        operatorName: name, expected: "\(schema.requiredInputs) \(most)",
        actual: "\(node.inputCount)")
    }
    for attribute in node.attributes.values.keys.sorted()
    where schema.attributes[attribute] == nil {
      throw MartletError(
        .notFound, "\(name): unknown attribute '\(attribute)'", operatorName: name,
        input: attribute, expected: schema.attributes.keys.sorted().joined(separator: ", "),
        actual: attribute)
    }
    return try type.init(node)
  }
}
