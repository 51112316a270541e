import MartletCore
import MartletOperators

/// A graph as text, with the constants that are too large to stand in it.
package struct GraphText: Sendable {
  package let text: String
  /// What the text refers to as `#0`, `#1`, …
  package let constants: [Tensor]
}

extension Graph: CustomStringConvertible {
  /// The graph as text, one line a value or node; regions are indented blocks below their node.
  ///
  ///     graph "main"
  ///     input %0 "c": bool[]
  ///     input %1 "x": float32[batch, past + 1]
  ///     constant %2 "w": float32[2] = (1.0, -0.5)
  ///     node "fc": %3 "h" = Gemm(%1, %2) {alpha = 1.0} : float32[batch, 4]
  ///     node "if": %4 "y" = If(%0) : float32[batch, 4]
  ///       region "then_branch" (%3)
  ///         graph "then"
  ///         input %0 "h": float32[batch, 4]
  ///         output "h" = %0
  ///     output "y" = %4
  ///
  /// Values are numbered as they appear, in each graph anew. Large constants are given by their types.
  package var description: String { text.text }

  /// The graph as text that `Graph(parsing:constants:)` reads back: all of it but values that nothing
  /// refers to, and constants that are known of what nodes compute.
  package var text: GraphText {
    var writer = GraphWriter()
    writer.write(self, indent: 0)
    return GraphText(text: writer.text, constants: writer.constants)
  }
}

/// Text under construction.
private struct GraphWriter {
  var text = ""
  var constants: [Tensor] = []
  private var places: [Place: Int] = [:]

  private struct Place: Hashable {
    let storage: ObjectIdentifier
    let offset: Int
    let dtype: DType
    let shape: [Int]
    let strides: [Int]
  }

  private mutating func line(_ indent: Int, _ content: String) {
    text += String(repeating: " ", count: indent)
    text += content
    text += "\n"
  }

  mutating func write(_ graph: Graph, indent: Int) {
    line(indent, "graph \(GraphSyntax.quoted(graph.name))")
    var numbers = [Int?](repeating: nil, count: graph.values.count)
    var count = 0
    func number(_ id: ValueID) -> String {
      if numbers[id] == nil {
        numbers[id] = count
        count += 1
      }
      return "%\(numbers[id] ?? 0)"
    }
    func named(_ id: ValueID) -> String {
      "\(number(id)) \(GraphSyntax.quoted(graph.values[id].name))"
    }
    for id in graph.inputs {
      line(indent, "input \(named(id)): \(GraphSyntax.text(graph.values[id].type))")
    }
    for id in graph.readConstants {
      guard let constant = graph.values[id].constant else { continue }
      line(indent, "constant \(named(id)): \(tensor(constant))")
    }
    for node in graph.nodes {
      let reads = node.inputs.map { $0.map(number) ?? "_" }
      let captures = node.regions.map { $0.captures.map(number) }
      let outputs = node.outputs.map(named)
      var content = "node \(GraphSyntax.quoted(node.name)): \(outputs.joined(separator: ", "))"
      content += " = \(GraphSyntax.text(node.op))(\(reads.joined(separator: ", ")))"
      content += attributes(node.attributes)
      content += " : "
      content += node.outputs.map { GraphSyntax.text(graph.values[$0].type) }
        .joined(separator: ", ")
      if !node.fused.isEmpty {
        content += " fused " + node.fused.map(GraphSyntax.quoted).joined(separator: ", ")
      }
      line(indent, content)
      for (region, captures) in zip(node.regions, captures) {
        let list = captures.joined(separator: ", ")
        line(indent + 2, "region \(GraphSyntax.quoted(region.name)) (\(list))")
        write(region.graph, indent: indent + 4)
      }
    }
    for output in graph.outputs {
      var content = "output \(GraphSyntax.quoted(output.name)) = \(number(output.value))"
      let declared = GraphSyntax.text(output.declared)
      if declared != "?" { content += " : \(declared)" }
      line(indent, content)
    }
  }

  private mutating func attributes(_ attributes: [String: AttributeValue]) -> String {
    guard !attributes.isEmpty else { return "" }
    var parts: [String] = []
    for (name, value) in attributes.sorted(by: { $0.key < $1.key }) {
      let content = if case .tensor(let tensor) = value { self.tensor(tensor) } else { value.text }
      parts.append("\(GraphSyntax.name(name)) = \(content)")
    }
    return " {" + parts.joined(separator: ", ") + "}"
  }

  /// Type and elements, or the number of the tensor in the table.
  private mutating func tensor(_ tensor: Tensor) -> String {
    let type = "\(tensor.dtype)\(Shape.text(tensor.shape))"
    if let elements = GraphSyntax.elements(tensor) { return "\(type) = \(elements)" }
    let place = Place(
      storage: ObjectIdentifier(tensor.storage), offset: tensor.byteOffset, dtype: tensor.dtype,
      shape: tensor.shape, strides: tensor.strides)
    if let known = places[place] { return "\(type) = #\(known)" }
    places[place] = constants.count
    constants.append(tensor)
    return "\(type) = #\(constants.count - 1)"
  }
}

extension Graph {
  /// The constants that something reads, nodes' outputs aside.
  fileprivate var readConstants: [ValueID] {
    var isRead = [Bool](repeating: false, count: values.count)
    for node in nodes { for id in node.reads { isRead[id] = true } }
    for output in outputs { isRead[output.value] = true }
    for node in nodes { for id in node.outputs { isRead[id] = false } }
    return values.indices.filter { isRead[$0] && values[$0].constant != nil }
  }
}

extension AttributeValue {
  /// The value as text; tensors by their type alone.
  package var text: String {
    switch self {
    case .int(let value): "\(value)"
    case .float(let value): GraphSyntax.text(value)
    case .string(let value): GraphSyntax.quoted(value)
    case .ints(let values):
      values.isEmpty ? "ints[]" : "[" + values.map { "\($0)" }.joined(separator: ", ") + "]"
    case .floats(let values):
      values.isEmpty
        ? "floats[]" : "[" + values.map(GraphSyntax.text).joined(separator: ", ") + "]"
    case .strings(let values):
      values.isEmpty
        ? "strings[]" : "[" + values.map(GraphSyntax.quoted).joined(separator: ", ") + "]"
    case .tensor(let value): "\(value.dtype)\(Shape.text(value.shape))"
    case .type(let value): "type \(value.text(GraphSyntax.text))"
    }
  }
}
