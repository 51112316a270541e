import MartletCore
import MartletOperators

/// GroupNormalization before opset 21 has one scale and bias per group, since then per channel.
enum GroupNormalizationForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 21 {
      let groups: Int
      if case .int(let count) = node.attributes["num_groups"] {
        groups = count
      } else {
        throw node.error(.invalidModel, "attribute 'num_groups' is missing", input: "num_groups")
      }
      guard let shape = converter.type(of: node.input(0)).shape, shape.count > 1,
        case .known(let channels) = shape[1], groups > 0, channels % groups == 0
      else {
        throw node.error(
          .unsupported, "needs a known number of channels that \(groups) groups divide")
      }
      for index in 1...2 where index < node.inputs.count {
        let column = try converter.constant([groups, 1], for: node)
        let table = try converter.constant([groups, channels / groups], for: node)
        let flat = try converter.constant([channels], for: node)
        var value = try converter.emitInner("Reshape", [node.inputs[index], column], for: node)
        value = try converter.emitInner("Expand", [value, table], for: node)
        node.inputs[index] = try converter.emitInner("Reshape", [value, flat], for: node)
      }
    }
    try converter.emit("GroupNormalization", node.inputs, node.attributes, for: node)
  }
}
