import MartletCore
import MartletGraph
import MartletOperators

/// FlexAttention of ai.onnx.preview: both products and the softmax as nodes of their own, with the
/// nodes of the subgraphs `score_mod` and `prob_mod` between them. Without subgraphs it is Attention.
enum FlexAttentionForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let scale = try node.takeFloat("scale")
    let precision = try node.takeInt("softmax_precision")
    let modifiers = ["score_mod", "prob_mod"].map { node.graphs.removeValue(forKey: $0) }
    try node.checkAllTaken()
    let operands = [
      try node.required(0, "Q"), try node.required(1, "K"), try node.required(2, "V"),
    ]
    for (operand, name) in zip(operands, ["Q", "K", "V"]) {
      guard try converter.knownRank(of: operand, name, for: node) == 4 else {
        throw node.error(.invalidModel, "input '\(name)' must be of rank 4", input: name)
      }
    }
    guard modifiers.contains(where: { $0 != nil }) else {
      let attributes = scale.map { ["scale": AttributeValue.float($0)] } ?? [:]
      return try converter.emit("Attention", operands, attributes, output: 0, for: node)
    }
    let type = try dtype(precision, of: operands[0], converter, node)
    let heads = try headIndices(operands[0], operands[1], &converter, node)
    var wide: [ValueID] = []
    for (index, operand) in operands.enumerated() {
      var operand = operand
      if index > 0, let heads {
        operand = try converter.emitInner(
          "Gather", [operand, heads], ["axis": .int(1)], for: node)
      }
      wide.append(try converter.cast(operand, to: type, for: node))
    }
    let turned = try converter.transposed(wide[1], [0, 1, 3, 2], for: node)
    var scores = try converter.emitInner("MatMul", [wide[0], turned], for: node)
    let factor = try factor(scale, wide[0], like: scores, &converter, node)
    scores = try converter.emitInner("Mul", [scores, factor], for: node)
    if let graph = modifiers[0] { scores = try converter.inline(graph, of: scores, node) }
    var weights = try converter.emitInner("Softmax", [scores], ["axis": .int(-1)], for: node)
    if let graph = modifiers[1] { weights = try converter.inline(graph, of: weights, node) }
    let y = try converter.emitInner("MatMul", [weights, wide[2]], for: node)
    guard let result = converter.dtype(of: operands[0]), result != type else {
      return converter.bind(node, to: y)
    }
    try converter.emit("Cast", [y], ["to": .int(Int(result.rawValue))], output: 0, for: node)
  }

  /// What scores are computed in.
  private static func dtype(
    _ precision: Int?, of query: ValueID, _ converter: ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) -> DType {
    guard let precision else {
      return converter.dtype(of: query) == .float64 ? .float64 : .float32
    }
    let dtype = try ONNXTensorReader.dtype(precision, of: "attribute 'softmax_precision'")
    guard dtype.isFloatingPoint, !dtype.isNarrow else {
      throw node.error(
        .invalidModel, "softmax_precision is \(dtype), expected a floating-point type",
        input: "softmax_precision")
    }
    return dtype
  }

  /// Of each head of queries that of its keys; nil where they are as many.
  private static func headIndices(
    _ query: ValueID, _ key: ValueID, _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) -> ValueID? {
    if let q = converter.type(of: query).shape?[1], let k = converter.type(of: key).shape?[1],
      q == k, q != .unknown
    {
      return nil
    }
    let counts = [
      try converter.shape(query, from: 1, to: 2, for: node),
      try converter.shape(key, from: 1, to: 2, for: node),
    ]
    let group = try converter.emitInner("Div", counts, for: node)
    let heads = try converter.range(try converter.element(counts[0], for: node), for: node)
    return try converter.emitInner("Div", [heads, group], for: node)
  }

  private static func factor(
    _ scale: Float?, _ query: ValueID, like scores: ValueID, _ converter: inout ONNXConverter,
    _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    if let scale { return try converter.scalar(scale, like: scores, for: node) }
    let width = try converter.shape(query, from: 3, to: 4, for: node)
    let wide = try converter.cast(width, to: .float64, for: node)
    let root = try converter.emitInner("Sqrt", [wide], for: node)
    let factor = try converter.emitInner("Reciprocal", [root], for: node)
    return try converter.emitInner("CastLike", [factor, scores], for: node)
  }
}
