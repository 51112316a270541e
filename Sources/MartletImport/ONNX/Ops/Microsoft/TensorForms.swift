import MartletCore
import MartletGraph
import MartletOperators

/// Operators of com.microsoft that differ from ONNX's of the same purpose in how they are told.
///
/// Source: com.microsoft of ONNX Runtime 1.32.
enum TensorForms {
  /// Pad, whose widths may be a matrix of one row.
  static func pad(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let pads = try node.required(1, "pads")
    if converter.rank(of: pads) != 1 {
      let flat = try converter.constant([-1], for: node)
      node.inputs[1] = try converter.emitInner("Reshape", [pads, flat], for: node)
    }
    try converter.emit("Pad", node.inputs, node.attributes, for: node)
  }

  /// ConvTransposeWithDynamicPads: ConvTranspose, from whose result the paddings are cut.
  static func convTranspose(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    let inputs = [try node.required(0, "X"), try node.required(1, "W"), node.input(3)]
    guard let pads = node.input(2) else {
      return try converter.emit("ConvTranspose", inputs, node.attributes, output: 0, for: node)
    }
    if let tensor = converter.graph.values[pads].constant, tensor.dtype == .int64,
      tensor.rank == 1, tensor.isContiguous, tensor.count <= 2 * Shape.maximumRank
    {
      var attributes = node.attributes
      attributes["pads"] = .ints((0..<tensor.count).map { Int(tensor.typed(Int64.self)[$0]) })
      return try converter.emit("ConvTranspose", inputs, attributes, output: 0, for: node)
    }
    let rank = try converter.knownRank(of: inputs[0] ?? 0, "X", for: node)
    let whole = try converter.emitInner("ConvTranspose", inputs, node.attributes, for: node)
    let sides = try converter.emitInner(
      "Split", [pads], ["axis": .int(0), "num_outputs": .int(2)], outputs: 2, for: node)
    let extents = try converter.shape(whole, from: 2, for: node)
    let ends = try converter.emitInner("Sub", [extents, sides[1]], for: node)
    let axes = try converter.constant(Array(2..<max(rank, 2)), for: node)
    try converter.emit("Slice", [whole, sides[0], ends, axes], output: 0, for: node)
  }

  /// Unique: the elements in order of their first appearance, where each element of x is among them,
  /// and how often each occurs.
  static func unique(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try node.checkAllTaken()
    let results = try converter.emitInner(
      "Unique", [try node.required(0, "x")], ["sorted": .int(0)], outputs: 4, for: node)
    for (output, index) in [0, 2, 3].enumerated() where index < results.count {
      converter.bind(node, output: output, to: results[index])
    }
  }

  /// GridSample, whose modes have the names of ONNX's before version 20.
  static func gridSample(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var node = node
    let mode = try node.takeString("mode") ?? "bilinear"
    let names = ["bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"]
    guard let name = names[mode] else {
      throw node.error(
        .invalidModel, "mode '\(mode)', expected bilinear, bicubic or nearest", input: "mode")
    }
    node.attributes["mode"] = .string(name)
    try converter.emit("GridSample", node.inputs, node.attributes, for: node)
  }
}
