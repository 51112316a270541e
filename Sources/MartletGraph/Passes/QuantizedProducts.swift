import MartletCore
import MartletOperators

/// Multiplies dequantised matrices by constant dequantised weights as the integers that they are.
///
/// The result stays float32 and within the bound of float32 products: the integers' sums are exact, and
/// what is rounded are the scales' product and its product with the sum, where dequantising rounds
/// every element and the product every term. Runs before constants are folded, which would turn the
/// weights into four times their size.
enum QuantizedProducts {
  static let pass = Pass("quantized-products") { graph throws(MartletError) in
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      for position in editor.positions where editor.isLive(position) {
        let node = editor.graph.nodes[position]
        guard let (lhs, rhs) = operands(node, editor.index, editor.graph) else { continue }
        var inputs: [ValueID?] = []
        for side in [lhs, rhs] {
          inputs += [side.elements, side.scale, try zeroPoint(of: side, &editor)]
        }
        try editor.replace(
          position,
          with: node.becoming(
            DequantizedMatMul.schema.id, inputs: inputs, absorbing: [lhs.node, rhs.node]))
      }
    }
  }

  /// What a product multiplies as integers, or nil.
  private static func operands(
    _ node: Node, _ index: GraphIndex, _ graph: Graph
  ) -> (lhs: Operand, rhs: Operand)? {
    guard node.op == "MatMul",
      let lhs = operand(node.input(0), index, graph), lhs.isUniform,
      let rhs = operand(node.input(1), index, graph),
      let weight = graph.values[rhs.elements].constant, weight.rank == 2,
      fewestTerms...DequantizedMatMul.mostTerms ~= weight.shape[0],
      rhs.isUniform || rhs.isByColumn
    else { return nil }
    return (lhs, rhs)
  }

  /// From here on the bound of float32 products, which grows with their terms, holds what is rounded.
  private static let fewestTerms = 8

  /// What one DequantizeLinear reads: int8 or uint8 elements with constant float32 scales.
  private struct Operand {
    let node: Node
    let elements: ValueID
    let scale: ValueID
    let zero: ValueID?
    /// One scale (and zero point) for all elements; else one for each column of a matrix.
    let isUniform: Bool
    let isByColumn: Bool
  }

  private static func operand(
    _ id: ValueID?, _ index: GraphIndex, _ graph: Graph
  ) -> Operand? {
    guard let node = index.producer(id, "DequantizeLinear", in: graph),
      graph.isFloat32(node.outputs.first), let elements = node.input(0),
      let dtype = graph.values[elements].type.dtype, dtype == .int8 || dtype == .uint8,
      let scale = node.input(1), let scales = graph.values[scale].constant,
      scales.dtype == .float32, node.int("block_size", default: 0) == 0,
      let shape = graph.values[elements].type.shape
    else { return nil }
    let zero = node.input(2)
    if let zero {
      // Of the scale's shape, or it fails in its place.
      guard let zeros = graph.values[zero].constant, zeros.dtype == dtype,
        zeros.shape == scales.shape
      else { return nil }
    }
    let axis = node.int("axis", default: 1)
    return Operand(
      node: node, elements: elements, scale: scale, zero: zero, isUniform: scales.count == 1,
      isByColumn: scales.rank == 1 && shape.count == 2 && [1, -1].contains(axis)
        && shape[1] == .known(scales.shape[0]))
  }

  /// The operand's zero point, or a new constant 0.
  private static func zeroPoint(
    of operand: Operand, _ editor: inout GraphEditor
  ) throws(MartletError) -> ValueID {
    if let zero = operand.zero { return zero }
    let dtype = editor.graph.values[operand.elements].type.dtype ?? .int8
    let tensor = try Tensor(uninitialized: dtype, [])
    tensor.pointer.storeBytes(of: 0, as: UInt8.self)
    return editor.addConstant("\(editor.graph.values[operand.elements].name)/zero", tensor)
  }
}
