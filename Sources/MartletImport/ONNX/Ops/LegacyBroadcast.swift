import MartletCore
import MartletOperators

/// Add, Sub, Mul, … before opset 7 broadcast their second input only if `broadcast` says so, from
/// `axis` on; since then both broadcast as in NumPy.
enum LegacyBroadcast {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    _ = node.take("consumed_inputs")
    guard node.opset < 7 else {
      return try converter.emit(node.op, node.inputs, node.attributes, for: node)
    }
    let isBroadcast = try node.takeInt("broadcast") ?? 0 != 0
    let axis = try node.takeInt("axis")
    if isBroadcast, let axis {
      guard let rank = converter.rank(of: node.input(0)),
        let otherRank = converter.rank(of: node.input(1))
      else {
        throw node.error(.unsupported, "broadcasting along an axis needs inputs of known rank")
      }
      let first = axis < 0 ? axis + rank : axis
      guard first >= 0, first + otherRank <= rank else {
        throw node.error(
          .invalidModel, "axis \(axis) does not fit inputs of ranks \(rank) and \(otherRank)")
      }
      if first + otherRank < rank {
        let axes = try converter.constant(Array(otherRank..<rank - first), for: node)
        node.inputs[1] = try converter.emitInner("Unsqueeze", [node.inputs[1], axes], for: node)
      }
    }
    try converter.emit(node.op, node.inputs, node.attributes, for: node)
  }
}
