import MartletCore

/// RoiAlign before opset 16 does not shift coordinates by half an element.
enum RoiAlignForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 16 {
      node.attributes["coordinate_transformation_mode"] = .string("output_half_pixel")
    }
    try converter.emit("RoiAlign", node.inputs, node.attributes, for: node)
  }
}
