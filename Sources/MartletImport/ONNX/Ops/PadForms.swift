import MartletCore

/// Pad before opset 11 has its widths (named `paddings` in opset 1) and value as attributes.
enum PadForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 11 {
      let pads =
        if let pads = try node.takeInts("pads") { pads } else { try node.takeInts("paddings") }
      guard let pads else {
        throw node.error(.invalidModel, "attribute 'pads' is missing", input: "pads")
      }
      let fill = try node.takeFloat("value") ?? 0
      node.inputs = [node.input(0), try converter.constant(pads, for: node)]
      if fill != 0 {
        var value = try converter.constant([fill], shape: [], for: node)
        if let dtype = converter.type(of: node.input(0)).dtype, dtype != .float32 {
          value = try converter.emitInner(
            "Cast", [value], ["to": .int(Int(dtype.rawValue))], for: node)
        }
        node.inputs.append(value)
      }
    }
    try converter.emit("Pad", node.inputs, node.attributes, for: node)
  }
}
