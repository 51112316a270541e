import MartletCore
import MartletGraph
import MartletOperators

/// QLinearSoftmax, QLinearConcat and QLinearWhere: dequantised, computed in float32 and quantised, half to even.
///
/// Source: com.microsoft of ONNX Runtime 1.32.
enum QuantizedElementForms {
  /// QLinearSoftmax; before opset 13 its input is a matrix that is split before `axis`.
  static func softmax(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let axis = try node.takeInt("axis") ?? -1
    guard let opset = try node.takeInt("opset") else {
      throw node.error(.invalidModel, "attribute 'opset' is missing", input: "opset")
    }
    try node.checkAllTaken()
    let x = try converter.real(node, at: 0, "X")
    let y: ValueID
    if opset >= 13 || axis == -1 {
      y = try converter.emitInner("Softmax", [x], ["axis": .int(axis)], for: node)
    } else {
      let shape = try converter.shape(x, for: node)
      let flat = try converter.emitInner("Flatten", [x], ["axis": .int(axis)], for: node)
      let result = try converter.emitInner("Softmax", [flat], ["axis": .int(-1)], for: node)
      y = try converter.emitInner("Reshape", [result, shape], ["allowzero": .int(1)], for: node)
    }
    try converter.emitQuantized(y, scale: 3, node)
  }

  /// QLinearWhere: the scale and zero point of a result behind those of both choices.
  static func choice(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try node.checkAllTaken()
    let condition = try node.required(0, "condition")
    let x = try converter.real(node, at: 1, "X")
    let y = try converter.real(node, at: 4, "Y")
    let z = try converter.emitInner("Where", [condition, x, y], for: node)
    let parameters = [try node.required(7, "z_scale"), try node.required(8, "z_zero_point")]
    try converter.emit("QuantizeLinear", [z] + parameters, output: 0, for: node)
  }

  /// QLinearConcat: of pieces quantised like the result their elements, others requantised.
  static func concat(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    guard let axis = try node.takeInt("axis") else {
      throw node.error(.invalidModel, "attribute 'axis' is missing", input: "axis")
    }
    try node.checkAllTaken()
    let (scale, zero) = (
      try node.required(0, "Y_scale"), try node.required(1, "Y_zero_point")
    )
    guard node.inputs.count >= 5, node.inputs.count % 3 == 2 else {
      throw node.error(
        .invalidModel,
        "expected a tensor, its scale and its zero point for each piece, got \(node.inputs.count - 2) inputs",
        input: "inputs")
    }
    var pieces: [ValueID] = []
    for first in stride(from: 2, to: node.inputs.count, by: 3) {
      let piece = try node.required(first, "inputs[\(first - 2)]")
      if converter.isSame(node.input(first + 1), scale),
        converter.isSame(node.input(first + 2), zero)
      {
        pieces.append(piece)
        continue
      }
      let real = try converter.real(node, at: first, "inputs[\(first - 2)]")
      pieces.append(try converter.emitInner("QuantizeLinear", [real, scale, zero], for: node))
    }
    try converter.emit("Concat", pieces, ["axis": .int(axis)], output: 0, for: node)
  }
}

extension ONNXConverter {
  /// Input `index` of `node` dequantised by the scale and zero point behind it.
  mutating func real(
    _ node: ImportedNode, at index: Int, _ name: String
  ) throws(MartletError) -> ValueID {
    let elements = try node.required(index, name)
    let scale = try node.required(index + 1, "\(name)'s scale")
    return try emitInner("DequantizeLinear", [elements, scale, node.input(index + 2)], for: node)
  }

  /// `value` quantised as output 0 by the scale at input `index` and the zero point behind it, of the
  /// type of input 0 where there is none.
  mutating func emitQuantized(
    _ value: ValueID, scale index: Int, _ node: ImportedNode
  ) throws(MartletError) {
    let scale = try node.required(index, "the output's scale")
    var zero = node.input(index + 1)
    if zero == nil {
      guard let type = dtype(of: node.input(0)) else {
        throw node.error(
          .unsupported, "without the output's zero point the input's type must be known")
      }
      zero = try self.zero(type, for: node)
    }
    try emit("QuantizeLinear", [value, scale, zero], output: 0, for: node)
  }

  /// Whether both are one value, or constants of one element that are the same.
  func isSame(_ a: ValueID?, _ b: ValueID?) -> Bool {
    guard let a, let b else { return a == b }
    if a == b { return true }
    guard let x = graph.values[a].constant, let y = graph.values[b].constant,
      x.dtype == y.dtype, x.count == 1, y.count == 1, !x.dtype.isNarrow, x.dtype != .string
    else { return false }
    let bytes = x.dtype.wholeByteCount
    return (0..<bytes).allSatisfy {
      x.pointer.load(fromByteOffset: $0, as: UInt8.self)
        == y.pointer.load(fromByteOffset: $0, as: UInt8.self)
    }
  }
}
