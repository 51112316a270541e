import MartletCore

/// Slice before opset 10 has starts, ends and axes as attributes.
enum SliceForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 10 {
      guard let starts = try node.takeInts("starts"), let ends = try node.takeInts("ends") else {
        throw node.error(.invalidModel, "attributes 'starts' and 'ends' are needed")
      }
      let axes = try node.takeInts("axes")
      node.inputs = [
        node.input(0), try converter.constant(starts, for: node),
        try converter.constant(ends, for: node),
      ]
      if let axes { node.inputs.append(try converter.constant(axes, for: node)) }
    }
    try converter.emit("Slice", node.inputs, node.attributes, for: node)
  }
}
