import MartletCore

/// Gemm before opset 7 says whether C broadcasts; now it always may.
enum GemmForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    if node.opset < 7 { _ = node.take("broadcast") }
    try converter.emit("Gemm", node.inputs, node.attributes, for: node)
  }
}
