import MartletCore
import MartletOperators

/// Softmax, LogSoftmax and Hardmax before opset 13 see their input as a matrix that is split before
/// `axis`; since then they work along one axis.
enum SoftmaxForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    guard node.opset < 13 else {
      return try converter.emit(node.op, node.inputs, node.attributes, for: node)
    }
    let axis = try node.takeInt("axis") ?? 1
    let rank = converter.rank(of: node.input(0))
    if axis == -1 || rank.map({ axis == $0 - 1 }) == true {
      return try converter.emit(
        node.op, node.inputs, ["axis": .int(-1)], for: node)
    }
    let shape = try converter.emitInner("Shape", [node.input(0)], for: node)
    let flat = try converter.emitInner(
      "Flatten", [node.input(0)], ["axis": .int(axis)], for: node)
    let result = try converter.emitInner(
      node.op, [flat], ["axis": .int(-1)], for: node)
    try converter.emit("Reshape", [result, shape], ["allowzero": .int(1)], for: node)
  }
}
