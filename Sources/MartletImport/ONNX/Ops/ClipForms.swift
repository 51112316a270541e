import MartletCore

/// Clip before opset 11 has its bounds as attributes.
enum ClipForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    _ = node.take("consumed_inputs")
    if node.opset < 11 {
      let (lower, upper) = (try node.takeFloat("min"), try node.takeFloat("max"))
      var inputs = [node.input(0)]
      for bound in [lower, upper] {
        guard let bound else {
          inputs.append(nil)
          continue
        }
        var value = try converter.constant([bound], shape: [], for: node)
        // Clip before opset 11 takes floating point alone, but not only float32.
        if let dtype = converter.type(of: node.input(0)).dtype, dtype != .float32 {
          value = try converter.emitInner(
            "Cast", [value], ["to": .int(Int(dtype.rawValue))], for: node)
        }
        inputs.append(value)
      }
      node.inputs = inputs
    }
    try converter.emit("Clip", node.inputs, node.attributes, for: node)
  }
}
