import MartletOperators

/// Names of nodes, and the names that nodes and graphs read.
extension ONNXNode {
  var op: OperatorID { OperatorID(operatorType, domain: domain == "ai.onnx" ? "" : domain) }

  /// The node's name, or its operator and place.
  func displayName(_ index: Int) -> String { name.isEmpty ? "\(operatorType)_\(index)" : name }

  /// Names that the node reads, those that its subgraphs take from outside included.
  var allReads: [String] {
    var names = inputs
    for attribute in attributes {
      if case .graph(let graph) = attribute.value { names += graph.outerReads }
    }
    return names
  }

  /// A function's node, or one of a subgraph inside it, as part of the node that calls it; `absent`
  /// are the function's inputs that the call leaves out.
  func resolved(
    _ call: ImportedNode, defaults: [ONNXAttribute], absent: Set<String>, name: String
  ) -> ONNXNode {
    var node = self
    node.name = "\(call.name)/\(name)"
    node.inputs = inputs.map { absent.contains($0) ? "" : $0 }
    for index in node.attributes.indices {
      switch node.attributes[index].value {
      case .reference(let source):
        if let value = call.attributes[source] {
          node.attributes[index].value = .plain(value)
        } else if let fallback = defaults.first(where: { $0.name == source }) {
          node.attributes[index].value = fallback.value
        }
      case .graph(var graph):
        let hidden = Set(graph.inputs.map(\.name))
        graph.nodes = graph.nodes.enumerated().map { index, node in
          node.resolved(
            call, defaults: defaults, absent: absent.subtracting(hidden),
            name: node.displayName(index))
        }
        node.attributes[index].value = .graph(graph)
      default: continue
      }
    }
    return node
  }
}

extension ONNXGraph {
  /// Names read here that are made outside.
  var outerReads: [String] {
    var made = Set(
      inputs.map(\.name) + initializers.map(\.name) + sparseInitializers.map(\.name))
    for node in nodes { made.formUnion(node.outputs) }
    return (nodes.flatMap(\.allReads) + outputs.map(\.name)).filter { !made.contains($0) }
  }
}
