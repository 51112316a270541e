import MartletCore

/// Reshape before opset 5 has its shape as an attribute.
enum ReshapeForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    _ = node.take("consumed_inputs")
    if node.opset < 5 {
      guard let shape = try node.takeInts("shape") else {
        throw node.error(.invalidModel, "attribute 'shape' is missing", input: "shape")
      }
      node.inputs = [node.input(0), try converter.constant(shape, for: node)]
    }
    try converter.emit("Reshape", node.inputs, node.attributes, for: node)
  }
}
