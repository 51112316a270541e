import MartletCore

/// PRelu before opset 7 takes one slope per channel (axis 1); since then the slope broadcasts.
enum PReluForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    _ = node.take("consumed_inputs")
    if node.opset < 7, converter.rank(of: node.input(1)) == 1,
      converter.type(of: node.input(1)).shape != [.known(1)]
    {
      guard let rank = converter.rank(of: node.input(0)) else {
        throw node.error(.unsupported, "slopes per channel need an input of known rank")
      }
      if rank > 2 {
        let axes = try converter.constant(Array(1..<rank - 1), for: node)
        node.inputs[1] = try converter.emitInner("Unsqueeze", [node.inputs[1], axes], for: node)
      }
    }
    try converter.emit("PRelu", node.inputs, node.attributes, for: node)
  }
}
