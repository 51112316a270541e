import MartletCore
import MartletGraph
import MartletOperators

/// Pools and convolutions of com.microsoft whose channels may be the last axis: transposed, computed
/// with the channels second, and transposed back.
///
/// Source: com.microsoft of ONNX Runtime 1.32.
enum ChannelsLastForms {
  /// QLinearAveragePool: the mean of dequantised values, padding being 0.
  static func averagePool(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var node = node
    let isLast = try node.takeInt("channels_last") ?? 0 != 0
    let x = try converter.real(node, at: 0, "X")
    try quantizedPool("AveragePool", x, isLast, node.attributes, &converter, node)
  }

  static func globalAveragePool(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var node = node
    let isLast = try node.takeInt("channels_last") ?? 0 != 0
    try node.checkAllTaken()
    let x = try converter.real(node, at: 0, "X")
    try quantizedPool("GlobalAveragePool", x, isLast, [:], &converter, node)
  }

  private static func quantizedPool(
    _ op: OperatorID, _ x: ValueID, _ isLast: Bool, _ attributes: [String: AttributeValue],
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    guard isLast else {
      let y = try converter.emitInner(op, [x], attributes, for: node)
      return try converter.emitQuantized(y, scale: 3, node)
    }
    let order = try Order(x, "X", converter, node)
    let first = try converter.transposed(x, order.first, for: node)
    let y = try converter.emitInner(op, [first], attributes, for: node)
    let last = try converter.transposed(y, order.last, for: node)
    try converter.emitQuantized(last, scale: 3, node)
  }

  /// NhwcMaxPool: MaxPool of int8 or uint8, channels last.
  static func maxPool(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    let x = try node.required(0, "x")
    let order = try Order(x, "x", converter, node)
    let first = try converter.transposed(x, order.first, for: node)
    let y = try converter.emitInner("MaxPool", [first], node.attributes, for: node)
    try converter.emit("Transpose", [y], ["perm": .ints(order.last)], output: 0, for: node)
  }

  /// QLinearConv, whose weights keep ONNX's order.
  static func convolution(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var node = node
    guard try node.takeInt("channels_last") ?? 0 != 0 else {
      return try converter.emit("QLinearConv", node.inputs, node.attributes, for: node)
    }
    let x = try node.required(0, "x")
    let order = try Order(x, "x", converter, node)
    var inputs = node.inputs
    inputs[0] = try converter.transposed(x, order.first, for: node)
    let y = try converter.emitInner("QLinearConv", inputs, node.attributes, for: node)
    try converter.emit("Transpose", [y], ["perm": .ints(order.last)], output: 0, for: node)
  }

  /// The permutations to channels second, and back to channels last.
  private struct Order {
    let first: [Int]
    let last: [Int]

    init(
      _ x: ValueID, _ name: String, _ converter: ONNXConverter, _ node: ImportedNode
    ) throws(MartletError) {
      let rank = try converter.knownRank(of: x, name, for: node)
      guard rank >= 3 else {
        throw node.error(
          .invalidModel, "input '\(name)' is of rank \(rank), expected 3 or more", input: name)
      }
      first = [0, rank - 1] + Array(1..<rank - 1)
      last = [0] + Array(2..<rank) + [1]
    }
  }
}
