import MartletCore

/// BatchNormalization before opset 14 trains where further outputs are asked for; before 9 it has
/// `spatial`, and before 7 a test flag.
enum BatchNormalizationForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if try node.takeInt("spatial") == 0 {
      throw node.error(.unsupported, "spatial = 0 is not supported", input: "spatial")
    }
    for attribute in ["consumed_inputs", "is_test"] { _ = node.take(attribute) }
    var isTraining = try node.takeInt("training_mode") ?? 0 != 0
    if node.opset < 14 {
      isTraining = node.outputs.dropFirst().contains { !$0.isEmpty }
      guard node.outputs.dropFirst(3).allSatisfy(\.isEmpty) else {
        throw node.error(
          .unsupported, "outputs saved_mean and saved_var are for gradients, which are not computed"
        )
      }
    }
    if isTraining { node.attributes["training_mode"] = .int(1) }
    node.outputs = Array(node.outputs.prefix(isTraining ? 3 : 1))
    try converter.emit("BatchNormalization", node.inputs, node.attributes, for: node)
  }
}
