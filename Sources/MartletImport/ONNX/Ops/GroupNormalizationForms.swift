import MartletCore
import MartletGraph
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
      guard groups > 0 else {
        throw node.error(.invalidModel, "attribute 'num_groups' must be positive")
      }
      let column = try converter.constant([groups, 1], for: node)
      let flat = try converter.constant([-1], for: node)
      let table = try channels(&converter, node, groups)
      for index in 1...2 where index < node.inputs.count {
        var value = try converter.emitInner("Reshape", [node.inputs[index], column], for: node)
        value = try converter.emitInner("Expand", [value, table], for: node)
        node.inputs[index] = try converter.emitInner("Reshape", [value, flat], for: node)
      }
    }
    try converter.emit("GroupNormalization", node.inputs, node.attributes, for: node)
  }

  /// [groups, channels / groups], from the run's input.
  private static func channels(
    _ converter: inout ONNXConverter, _ node: ImportedNode, _ groups: Int
  ) throws(MartletError) -> ValueID {
    let shape = try converter.emitInner("Shape", [node.input(0)], for: node)
    let axis = try converter.constant([1], for: node)
    let count = try converter.emitInner(
      "Gather", [shape, axis], ["axis": .int(0)], for: node)
    let divisor = try converter.constant([groups], for: node)
    let each = try converter.emitInner("Div", [count, divisor], for: node)
    return try converter.emitInner("Concat", [divisor, each], ["axis": .int(0)], for: node)
  }
}
