import MartletCore

/// Split before opset 13 has the parts' sizes as an attribute.
enum SplitForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 13, let sizes = try node.takeInts("split") {
      node.inputs = [node.input(0), try converter.constant(sizes, for: node)]
    }
    // Parts that nobody reads are parts all the same.
    while node.outputs.count < node.listedOutputCount { node.outputs.append("") }
    // Before opset 18 the number of equal parts is that of the outputs.
    if node.input(1) == nil, node.attributes["num_outputs"] == nil {
      node.attributes["num_outputs"] = .int(node.outputs.count)
    }
    try converter.emit("Split", node.inputs, node.attributes, for: node)
  }
}
