import MartletCore

/// BatchNormalization before opset 9 has `spatial`, before 14 further outputs that mean something
/// only in training, and before 7 a test flag.
enum BatchNormalizationForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if try node.takeInt("spatial") == 0 {
      throw node.error(.unsupported, "spatial = 0 is not supported", input: "spatial")
    }
    for attribute in ["consumed_inputs", "is_test", "momentum"] { _ = node.take(attribute) }
    if try node.takeInt("training_mode") ?? 0 != 0 {
      throw node.error(.unsupported, "training mode is not supported", input: "training_mode")
    }
    if node.opset < 14, node.outputs.dropFirst().contains(where: { !$0.isEmpty }) {
      throw node.error(
        .unsupported, "outputs beyond the first mean training, which is not supported")
    }
    node.outputs = Array(node.outputs.prefix(1))
    try converter.emit("BatchNormalization", node.inputs, node.attributes, for: node)
  }
}
