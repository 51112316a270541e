import MartletCore
import MartletOperators

/// Dropout passes its input on; its mask, where asked for, is all true. Where it is to train, or only the
/// run knows whether it is, the operator does it.
enum DropoutForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    guard let input = node.input(0) else {
      throw node.error(.invalidModel, "input 'data' is missing", input: "data")
    }
    if let training = node.input(2) {
      guard let flag = converter.graph.values[training].constant, flag.dtype == .bool,
        flag.count == 1, flag.typed(UInt8.self)[0] == 0
      else { return try converter.emit("Dropout", node.inputs, node.attributes, for: node) }
    }
    var data = node
    data.outputs = Array(node.outputs.prefix(1))
    try converter.emit("Identity", [input], [:], for: data)
    guard node.outputs.count > 1, !node.outputs[1].isEmpty else { return }
    // Before opset 10 the mask is of the input's own type.
    let maskType = node.opset < 10 ? converter.type(of: input).dtype ?? .float32 : .bool
    let one = try Tensor(uninitialized: .bool, [1])
    one.typed(UInt8.self)[0] = 1
    let shape = try converter.emitInner("Shape", [input], for: node)
    var mask = try converter.emitInner(
      "ConstantOfShape", [shape], ["value": .tensor(one)], for: node)
    if maskType != .bool {
      mask = try converter.emitInner(
        "Cast", [mask], ["to": .int(Int(maskType.rawValue))], for: node)
    }
    converter.bind(node, output: 1, to: mask)
  }
}
