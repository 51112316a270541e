import MartletCore
import MartletOperators

/// Cast before opset 6 names its type in words.
enum CastForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    var code = 0
    switch node.take("to") {
    case .int(let value): code = value
    case .string(let name):
      let names = ["float": "float32", "double": "float64"]
      let lowered = name.lowercased()
      guard let dtype = DType(name: names[lowered] ?? lowered) else {
        throw node.error(.unsupported, "cannot cast to '\(name)'", input: "to")
      }
      code = Int(dtype.rawValue)
    default: throw node.error(.invalidModel, "attribute 'to' is missing", input: "to")
    }
    _ = try ONNXTensorReader.dtype(code, of: "Cast (node '\(node.name)'): 'to'")
    node.attributes["to"] = .int(code)
    try converter.emit("Cast", node.inputs, node.attributes, for: node)
  }
}
