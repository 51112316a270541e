import MartletCore
import MartletGraph
import MartletOperators

/// RotaryEmbedding of com.microsoft: ONNX's, with its inputs in another order, positions that may be
/// one offset for all, and heads that the caches' width tells.
///
/// Source: com.microsoft of ONNX Runtime 1.32, whose `scale` is not used there either.
enum RotaryEmbeddingForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let isInterleaved = try node.takeInt("interleaved") ?? 0
    let turned = try node.takeInt("rotary_embedding_dim") ?? 0
    let heads = try node.takeInt("num_heads") ?? 0
    _ = try node.takeFloat("scale")
    if try node.takeInt("is_packed_batching") ?? 0 != 0 {
      throw node.error(
        .unsupported, "packed batches are not supported", input: "is_packed_batching")
    }
    try node.checkAllTaken()
    guard turned == 0 || heads > 0 else {
      throw node.error(
        .invalidModel, "rotary_embedding_dim needs num_heads above 0", input: "num_heads")
    }
    let x = try node.required(0, "input")
    let positions = try node.required(1, "position_ids")
    let caches = [try node.required(2, "cos_cache"), try node.required(3, "sin_cache")]
    let rank = try converter.knownRank(of: x, "input", for: node)
    var attributes: [String: AttributeValue] = [
      "interleaved": .int(isInterleaved), "rotary_embedding_dim": .int(turned),
    ]
    if rank == 3 {
      attributes["num_heads"] = .int(
        heads > 0 ? heads : try headCount(x, caches[0], converter, node))
    }
    let places = try places(positions, x, isByHead: rank == 4, &converter, node)
    try converter.emit(
      "RotaryEmbedding", [x, caches[0], caches[1], places], attributes, output: 0, for: node)
  }

  /// A head is twice as wide as the caches.
  private static func headCount(
    _ x: ValueID, _ cache: ValueID, _ converter: ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) -> Int {
    guard case .known(let width)? = converter.type(of: x).shape?.last,
      case .known(let half)? = converter.type(of: cache).shape?.last
    else {
      throw node.error(
        .unsupported, "without num_heads the widths of input and cos_cache must be known",
        input: "num_heads")
    }
    guard half > 0, half <= Int.max / 2, width % (2 * half) == 0 else {
      throw node.error(
        .invalidModel,
        "heads of twice cos_cache's width \(half) do not divide the input's \(width)",
        input: "cos_cache")
    }
    return width / (2 * half)
  }

  /// [batch, length]: the positions as they are, or counted on from one for all.
  private static func places(
    _ positions: ValueID, _ x: ValueID, isByHead: Bool, _ converter: inout ONNXConverter,
    _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    guard try converter.knownRank(of: positions, "position_ids", for: node) < 2 else {
      return positions
    }
    let axis = isByHead ? 2 : 1
    let length = try converter.shape(x, from: axis, to: axis + 1, for: node)
    let steps = try converter.range(try converter.element(length, for: node), for: node)
    let row = try converter.emitInner("Add", [steps, positions], for: node)
    let batch = try converter.shape(x, from: 0, to: 1, for: node)
    let shape = try converter.emitInner("Concat", [batch, length], ["axis": .int(0)], for: node)
    return try converter.emitInner("Expand", [row, shape], for: node)
  }
}
