import MartletCore

/// TopK before opset 10 has k as an attribute.
enum TopKForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 10 {
      guard let count = try node.takeInt("k") else {
        throw node.error(.invalidModel, "attribute 'k' is missing", input: "k")
      }
      node.inputs = [node.input(0), try converter.constant([count], for: node)]
    }
    try converter.emit("TopK", node.inputs, node.attributes, for: node)
  }
}
