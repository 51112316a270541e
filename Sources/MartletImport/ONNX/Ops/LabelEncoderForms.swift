import MartletCore
import MartletOperators

/// LabelEncoder-1 counts its strings from 0 on, in both directions, as CategoryMapper does. Of equal keys
/// before version 4 the first counts, as ONNX Runtime takes them.
enum LabelEncoderForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    let domain = OperatorID.machineLearningDomain
    var node = node
    if node.opset >= 4 {
      return try converter.emit(
        OperatorID("LabelEncoder", domain: domain), node.inputs, node.attributes, for: node)
    }
    guard node.opset < 2 else {
      for (name, value) in node.attributes {
        switch value {
        case .ints(let list): node.attributes[name] = .ints(list.reversed())
        case .floats(let list): node.attributes[name] = .floats(list.reversed())
        case .strings(let list): node.attributes[name] = .strings(list.reversed())
        default: continue
        }
      }
      return try converter.emit(
        OperatorID("LabelEncoder", domain: domain), node.inputs, node.attributes, for: node)
    }
    var classes: [String] = []
    switch node.take("classes_strings") {
    case .strings(let list)?: classes = list
    case nil: break
    default:
      throw node.error(.invalidModel, "attribute 'classes_strings' must be a list of strings")
    }
    node.attributes["cats_strings"] = .strings(classes)
    node.attributes["cats_int64s"] = .ints(Array(classes.indices))
    try converter.emit(
      OperatorID("CategoryMapper", domain: domain), node.inputs, node.attributes, for: node)
  }
}
