import MartletCore
import MartletOperators

extension Graph: CustomStringConvertible {
  /// The graph as text, one line a value or node:
  ///
  ///     graph "main"
  ///     input %0 "x": float32[batch, 3]
  ///     constant %1 "w": float32[3, 4]
  ///     node "fc": %2 "y" = MatMul(%0, %1) {alpha = 1.0} : float32[batch, 4]
  ///     output "y" = %2
  package var description: String {
    var lines = ["graph \(quoted(name))"]
    for id in inputs {
      lines.append("input %\(id) \(quoted(values[id].name)): \(values[id].type.text)")
    }
    let used = Set(nodes.flatMap { $0.inputs.compactMap { $0 } } + outputs.map(\.value))
    for id in values.indices where used.contains(id) && values[id].constant != nil {
      lines.append("constant %\(id) \(quoted(values[id].name)): \(values[id].type.text)")
    }
    for node in nodes { lines.append(line(node)) }
    for output in outputs { lines.append("output \(quoted(output.name)) = %\(output.value)") }
    return lines.joined(separator: "\n") + "\n"
  }

  private func line(_ node: Node) -> String {
    let outputs = node.outputs.map { "%\($0) \(quoted(values[$0].name))" }
    let inputs = node.inputs.map { $0.map { "%\($0)" } ?? "_" }
    var text = "node \(quoted(node.name)): \(outputs.joined(separator: ", ")) = "
    text += "\(node.operatorName)(\(inputs.joined(separator: ", ")))"
    if !node.attributes.isEmpty {
      let sorted = node.attributes.sorted { $0.key < $1.key }
      text += " {" + sorted.map { "\($0.key) = \($0.value.text)" }.joined(separator: ", ") + "}"
    }
    text += " : " + node.outputs.map { values[$0].type.text }.joined(separator: ", ")
    if !node.fused.isEmpty { text += " fused " + node.fused.map(quoted).joined(separator: ", ") }
    return text
  }
}

extension AttributeValue {
  /// The value as text; tensors by their type alone.
  package var text: String {
    switch self {
    case .int(let value): "\(value)"
    case .float(let value): "\(value)"
    case .string(let value): quoted(value)
    case .ints(let values): "[" + values.map { "\($0)" }.joined(separator: ", ") + "]"
    case .floats(let values): "[" + values.map { "\($0)" }.joined(separator: ", ") + "]"
    case .strings(let values): "[" + values.map(quoted).joined(separator: ", ") + "]"
    case .tensor(let value): "\(value.dtype)\(Shape.text(value.shape))"
    }
  }
}

/// The text in double quotes, with quotes and backslashes escaped.
private func quoted(_ text: String) -> String {
  var result = "\""
  for character in text {
    if character == "\"" || character == "\\" { result.append("\\") }
    result.append(character)
  }
  return result + "\""
}
