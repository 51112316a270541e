import MartletCore

/// Squeeze and Unsqueeze before opset 13 have their axes as an attribute.
enum AxesForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 13, let axes = try node.takeInts("axes") {
      node.inputs = [node.input(0), try converter.constant(axes, for: node)]
    }
    try converter.emit(node.op, node.inputs, node.attributes, for: node)
  }
}

/// ReduceSum before opset 13, and the other reductions before 18, have their axes as an attribute.
enum ReduceForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let newest = node.op == "ReduceSum" ? 13 : 18
    if node.opset < newest, let axes = try node.takeInts("axes"), !axes.isEmpty {
      node.inputs = [node.input(0), try converter.constant(axes, for: node)]
    }
    try converter.emit(node.op, node.inputs, node.attributes, for: node)
  }
}

/// DFT before opset 20 has its axis as an attribute, 1 unless said.
enum DFTForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 20 {
      let tensor = try Tensor(uninitialized: .int64, [])
      tensor.typed(Int64.self)[0] = Int64(try node.takeInt("axis") ?? 1)
      node.inputs = [node.input(0), node.input(1), converter.constant(tensor, for: node)]
    }
    try converter.emit("DFT", node.inputs, node.attributes, for: node)
  }
}
