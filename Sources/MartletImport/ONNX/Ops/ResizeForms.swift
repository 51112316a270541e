import MartletCore
import MartletOperators

/// Resize before opset 11 and Upsample take scales alone and map output to input by plain division.
enum ResizeForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 11 { return try asymmetric(&converter, node, scales: node.input(1)) }
    // Exporters write empty tensors for inputs that are absent.
    for index in 1..<max(node.inputs.count, 1) {
      if let id = node.inputs[index], converter.graph.values[id].constant?.count == 0 {
        node.inputs[index] = nil
      }
    }
    try converter.emit("Resize", node.inputs, node.attributes, for: node)
  }

  static func asymmetric(
    _ converter: inout ONNXConverter, _ node: ImportedNode, scales: Int?
  ) throws(MartletError) {
    var node = node
    guard let scales else { throw node.error(.invalidModel, "scales are missing", input: "scales") }
    let mode = try node.takeString("mode") ?? "nearest"
    let attributes: [String: AttributeValue] = [
      "mode": .string(mode == "bilinear" ? "linear" : mode),
      "coordinate_transformation_mode": .string("asymmetric"), "nearest_mode": .string("floor"),
    ]
    try converter.emit("Resize", [node.input(0), nil, scales], attributes, for: node)
  }
}

/// Upsample is Resize; its scales were attributes before opset 9.
enum UpsampleForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset >= 9 {
      return try ResizeForms.asymmetric(&converter, node, scales: node.input(1))
    }
    var scales = try node.takeFloats("scales")
    if scales == nil, let height = try node.takeFloat("height_scale"),
      let width = try node.takeFloat("width_scale")
    {
      scales = [1, 1, height, width]
    }
    guard let scales else {
      throw node.error(.invalidModel, "attribute 'scales' is missing", input: "scales")
    }
    let input = try converter.constant(scales, for: node)
    try ResizeForms.asymmetric(&converter, node, scales: input)
  }
}
