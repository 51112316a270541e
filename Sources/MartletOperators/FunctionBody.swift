import MartletCore

/// What an operator computes, as nodes of ONNX's own operators over named values: the body of the
/// function that stands for it in a file, and what tests hold it against.
package struct FunctionBody: Sendable {
  package struct Node: Sendable {
    package let op: OperatorID
    /// nil: an optional input that is absent.
    package let inputs: [String?]
    package let output: String
    package let attributes: [String: AttributeValue]
  }

  /// The operator's inputs by their names in its schema; nil: absent.
  package let inputs: [String?]
  package private(set) var nodes: [Node] = []
  /// What the operator's outputs are.
  package var outputs: [String] = []

  /// A body without nodes for a node of `schema` with inputs of these types (nil: absent).
  package init(_ schema: OperatorSchema, _ types: [ValueType?]) {
    inputs = zip(schema.inputs, types).map { $1 == nil ? nil : $0 }
  }

  /// The input at `index`, or nil.
  func input(_ index: Int) -> String? { index < inputs.count ? inputs[index] : nil }

  /// Adds a node and gives its output.
  mutating func add(
    _ op: OperatorID, _ inputs: [String?], _ attributes: [String: AttributeValue] = [:]
  ) -> String {
    let output = "\(op.name)_\(nodes.count)"
    nodes.append(Node(op: op, inputs: inputs, output: output, attributes: attributes))
    return output
  }

  /// A scalar of the dtype of `other`.
  mutating func scalar(_ value: Float, like other: String) -> String {
    add("CastLike", [add("Constant", [], ["value_float": .float(value)]), other])
  }

  mutating func integers(_ values: [Int]) -> String {
    add("Constant", [], ["value_ints": .ints(values)])
  }

  /// `value` with the last two axes swapped, whatever its rank of 2 and above.
  mutating func matrixTransposed(_ value: String) -> String {
    add("Einsum", [value], ["equation": .string("...ij->...ji")])
  }

  /// The sum of `value` and the inputs at these indices that there are.
  mutating func adding(_ indices: ClosedRange<Int>, to value: String) -> String {
    var sum = value
    for case let term? in indices.map(input) { sum = add("Add", [sum, term]) }
    return sum
  }
}

/// An operator of Martlet's own domain: what a pass makes of several nodes, or what ONNX has no
/// operator for.
package protocol MartletOperator: Operator {
  /// What it computes in ONNX's own operators, for inputs of these types (nil: absent).
  ///
  /// The two may round differently; docs/numerics.md says how far.
  func decompose(_ inputs: [ValueType?]) -> FunctionBody
}
