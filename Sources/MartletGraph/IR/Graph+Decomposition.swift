import MartletCore
import MartletOperators

extension Graph {
  /// What a node of one of Martlet's own operators computes, as a graph of ONNX's own operators with
  /// the node's inputs (absent ones left out) and outputs; nil for other nodes.
  package func decomposition(of node: Node) throws(MartletError) -> Graph? {
    guard let operation = try makeOperator(node) as? any MartletOperator else { return nil }
    let types = node.inputs.map { $0.map { values[$0].type } }
    do throws(MartletError) {
      return try Graph(operation.decompose(types), inputs: types, name: node.name)
    } catch {
      throw error.at(node)
    }
  }

  /// The graph that a function's body is, for inputs of these types (nil: absent).
  init(_ body: FunctionBody, inputs types: [ValueType?], name: String) throws(MartletError) {
    self.init(name: name)
    var ids: [String: ValueID] = [:]
    func value(_ name: String) throws(MartletError) -> ValueID {
      guard let id = ids[name] else {
        throw MartletError(.internalError, "a function's body makes no '\(name)'", input: name)
      }
      return id
    }
    for case (let name?, var type?) in zip(body.inputs, types) {
      // The body reads what its caller has, constant or not.
      type.constant = nil
      ids[name] = addInput(name, type)
    }
    for node in body.nodes {
      var inputs: [ValueID?] = []
      for input in node.inputs { inputs.append(try input.map(value)) }
      ids[node.output] =
        addNode(
          node.op, name: node.output, inputs: inputs, outputs: [node.output],
          attributes: node.attributes)[0]
    }
    for output in body.outputs {
      outputs.append(GraphOutput(name: output, value: try value(output)))
    }
    try inferTypes()
  }
}
