import MartletCore
import MartletGraph
import MartletOperators

/// How many floating-point operations a graph's matrix work takes.
enum OperationCount {
  /// Counts two per multiply-add of products and convolutions, with the shapes that follow from
  /// those of `inputs`; `isWhole` is false when some shapes are known at run time only.
  static func of(_ source: Graph, inputs: [String: Tensor]) throws(MartletError) -> (
    operations: Double, isWhole: Bool
  ) {
    var graph = source
    for id in graph.inputs {
      guard let tensor = inputs[graph.values[id].name] else { continue }
      graph.values[id].type.dtype = tensor.dtype
      graph.values[id].type.shape = tensor.shape.map { .known($0) }
    }
    try graph.inferTypes()
    var total = 0.0
    var isWhole = true
    for node in graph.nodes where isMatrixWork(node.op.name) {
      if let count = operations(of: node, in: graph) { total += count } else { isWhole = false }
    }
    return (total, isWhole)
  }

  private static func isMatrixWork(_ name: String) -> Bool {
    ["MatMul", "Gemm", "Linear", "Conv", "ConvTranspose", "Attention"].contains {
      name.hasSuffix($0)
    }
  }

  private static func operations(of node: Node, in graph: Graph) -> Double? {
    func shape(_ id: ValueID?) -> [Double]? {
      guard let extents = id.flatMap({ graph.values[$0].type.shape }) else { return nil }
      var known: [Double] = []
      for extent in extents {
        guard case .known(let value) = extent else { return nil }
        known.append(Double(value))
      }
      return known
    }
    guard let output = shape(node.outputs.first), node.inputs.count >= 2,
      let lhs = shape(node.inputs[0]), let rhs = shape(node.inputs[1])
    else { return nil }
    let results = output.reduce(1, *)
    switch node.op.name {
    case let name where name.hasSuffix("ConvTranspose"):
      return 2 * lhs.reduce(1, *) * rhs.dropFirst().reduce(1, *)
    case let name where name.hasSuffix("Conv"):
      return 2 * results * rhs.dropFirst().reduce(1, *)
    case let name where name.hasSuffix("Attention"):
      // Two products: [L, D] x [D, S] and [L, S] x [S, Dv].
      guard lhs.count == 4, rhs.count == 4, let value = output.last else { return nil }
      return 2 * lhs[0] * lhs[1] * lhs[2] * rhs[2] * (lhs[3] + value)
    default:
      // The length of the sums: the elements of lhs over its rows.
      guard let columns = output.last, columns > 0, let depth = lhs.last else { return nil }
      var transposed = false
      if case .int(let flag)? = node.attributes["transA"] { transposed = flag != 0 }
      return 2 * results * (transposed ? lhs.first ?? depth : depth)
    }
  }
}
