import MartletBackends
import MartletCore

/// The input as an optional, or an empty one of the type in `type`. Source: ONNX Optional-15.
package struct MakeOptional: Operator {
  package static let schema = OperatorSchema(
    name: "Optional", inputs: ["input"], requiredInputs: 0,
    attributes: ["type": "what an empty optional is of"],
    traits: [.anyElement, .anyKind, .narrow(.carried)])
  private let kind: ValueKind?

  package init(_ node: OperatorNode) throws(MartletError) {
    kind = try node.attributes.optionalType("type")
    guard kind != nil || node.inputCount > 0 else {
      throw MartletError(
        .invalidArgument, "Optional: neither an input nor attribute 'type' is given",
        operatorName: "Optional", input: "type", expected: "a type", actual: "nothing")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(.optional(of: inputs.type(0)?.kind ?? kind ?? .unknownTensor))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    context.deliver(.optional(inputs.value(0)))
  }
}

/// Whether there is a value: a bool scalar. Tensors and sequences have one, absent inputs none.
/// Source: ONNX OptionalHasElement-18.
package struct OptionalHasElement: Operator {
  package static let schema = OperatorSchema(
    name: "OptionalHasElement", inputs: ["input"], requiredInputs: 0,
    traits: [.anyElement, .anyKind, .narrow(.carried)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: .bool, shape: [])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let output = try context.output(0, .bool, [])
    let isThere =
      switch inputs.value(0) {
      case nil, .optional(nil)?: false
      default: true
      }
    SmallTensors.write([isThere ? 1 : 0], to: output)
    context.deliver(output)
  }
}

/// The value of an optional; a tensor or a sequence is its own. Source: ONNX OptionalGetElement-18.
package struct OptionalGetElement: Operator {
  package static let schema = OperatorSchema(
    name: "OptionalGetElement", inputs: ["input"],
    traits: [.anyElement, .anyKind, .view(of: 0), .narrow(.carried)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let type = inputs.type(0) else { return [.unknown()] }
    if case .optional(let element) = type.kind { return [ValueType(element)] }
    return [type.withoutElements]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    switch inputs.value(0) {
    case .optional(let value?)?: context.deliver(value)
    case nil, .optional(nil)?:
      throw MartletError(
        .invalidArgument, "OptionalGetElement: the optional is empty",
        operatorName: "OptionalGetElement", input: "input", expected: "an optional with a value",
        actual: "an empty one")
    case let value?: context.deliver(value)
    }
  }
}
