import MartletCore

/// GridSample before opset 20 calls its modes bilinear and bicubic.
enum GridSampleForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 20, let mode = try node.takeString("mode") {
      let names = ["bilinear": "linear", "bicubic": "cubic"]
      node.attributes["mode"] = .string(names[mode] ?? mode)
    }
    try converter.emit("GridSample", node.inputs, node.attributes, for: node)
  }
}
