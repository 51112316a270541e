import MartletCore
import MartletOperators

/// Recognises layer normalisation over the last axis that an exporter has written out:
/// d = x - mean(x); d / sqrt(mean(d^2) + epsilon) [* scale + bias].
enum LayerNormRecognition {
  static let pass = Pass("layer-norm-recognition") { graph throws(MartletError) in
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      for position in editor.positions where editor.isLive(position) {
        if let node = recognized(editor.graph.nodes[position], editor.index, editor.graph) {
          try editor.replace(position, with: node)
        }
      }
    }
  }

  /// The normalisation that ends in `node`, or nil.
  private static func recognized(_ node: Node, _ index: GraphIndex, _ graph: Graph) -> Node? {
    guard node.op == "Add", let affine = affine(node, index, graph),
      let normal = normalized(affine.value, index, graph),
      case .known(let width) = graph.values[normal.x].type.shape?.last,
      graph.values[affine.scale].constant?.shape == [width],
      graph.values[affine.bias].constant?.shape == [width]
    else { return nil }
    return node.becoming(
      "LayerNormalization", inputs: [normal.x, affine.scale, affine.bias],
      attributes: ["axis": .int(-1), "epsilon": .float(Float(normal.epsilon))],
      absorbing: normal.nodes + [affine.product])
  }

  /// value * scale + bias with vectors scale and bias.
  private static func affine(_ node: Node, _ index: GraphIndex, _ graph: Graph)
    -> (value: ValueID, scale: ValueID, bias: ValueID, product: Node)?
  {
    for (first, second) in [(0, 1), (1, 0)] {
      guard let bias = node.input(second), graph.values[bias].constant?.rank == 1,
        graph.isFloat32(bias), let product = index.producer(node.input(first), "Mul", in: graph),
        index.isReadOnce(product.outputs[0])
      else { continue }
      for (value, scale) in [(0, 1), (1, 0)] {
        if let scale = product.input(scale), graph.values[scale].constant?.rank == 1,
          graph.isFloat32(scale), let value = product.input(value)
        {
          return (value, scale, bias, product)
        }
      }
    }
    return nil
  }

  private static func normalized(_ id: ValueID, _ index: GraphIndex, _ graph: Graph)
    -> (x: ValueID, epsilon: Double, nodes: [Node])?
  {
    guard let quotient = index.producer(id, "Div", in: graph), index.isReadOnce(id),
      let root = index.producer(quotient.input(1), "Sqrt", in: graph),
      let sum = index.producer(root.input(0), "Add", in: graph),
      let (variance, epsilon) = graph.scalarOperand(sum), epsilon >= 0,
      let mean = index.producer(variance, "ReduceMean", in: graph), isLastAxis(mean, graph),
      let deviation = quotient.input(0), isSquare(mean.input(0), of: deviation, index, graph),
      let difference = index.producer(deviation, "Sub", in: graph),
      let x = difference.input(0),
      let center = index.producer(difference.input(1), "ReduceMean", in: graph),
      center.input(0) == x, isLastAxis(center, graph)
    else { return nil }
    return (x, epsilon, [center, difference, mean, sum, root, quotient])
  }

  private static func isSquare(
    _ id: ValueID?, of value: ValueID, _ index: GraphIndex, _ graph: Graph
  ) -> Bool {
    if let power = index.producer(id, "Pow", in: graph) {
      return power.input(0) == value && graph.scalar(power.input(1)) == 2
    }
    guard let product = index.producer(id, "Mul", in: graph) else { return false }
    return product.input(0) == value && product.input(1) == value
  }

  private static func isLastAxis(_ node: Node, _ graph: Graph) -> Bool {
    guard node.int("keepdims", default: 1) == 1, let axes = node.input(1),
      let values = graph.values[axes].constant?.smallIntegers, values.count == 1,
      let input = node.input(0)
    else { return false }
    return values[0] == -1
      || graph.values[input].type.shape.map { values[0] == $0.count - 1 } == true
  }
}
