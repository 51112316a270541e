import MartletCore
import MartletGraph
import MartletOperators

/// MultiHeadAttention, Attention and QAttention of com.microsoft: ONNX's Attention, behind the
/// projections and with one mask of what is added to the scores.
///
/// Hidden keys get `mask_filter_value` added, as in ONNX Runtime, so that a row of which all are hidden
/// is the softmax of its scores; a row that sees no key for other reasons is 0.
/// Source: com.microsoft of ONNX Runtime 1.32.
enum AttentionForms {
  static func multiHead(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var node = node
    let settings = try Settings(&node)
    try node.checkAllTaken()
    for (index, name) in [(8, "past_sequence_length"), (9, "cache_indirection")]
    where node.input(index) != nil {
      throw node.error(.unsupported, "input '\(name)' is not supported", input: name)
    }
    let query = try node.required(0, "query")
    guard let key = node.input(1), let value = node.input(2),
      converter.rank(of: query) != 5, converter.rank(of: key) != 5
    else {
      throw node.error(
        .unsupported, "packed queries, keys and values are not supported", input: "key")
    }
    var operands = [query, key, value]
    if let bias = node.input(3) {
      operands = try projections(operands, with: bias, &converter, node)
    }
    let past = node.input(6)
    let keys = AttentionMaskForm.Keys(
      new: key, axis: converter.rank(of: key) == 4 ? 2 : 1, past: past, pastAxis: 2)
    let mask = try AttentionMaskForm(
      filter: settings.filter, batchOf: query, keys: keys, bias: node.input(5), node
    ).convert(node.input(4), isOfMultiHead: true, &converter)
    try converter.emit(
      "Attention", operands + [mask, past, node.input(7)], settings.attributes, for: node)
  }

  /// The operands with their parts of the bias.
  private static func projections(
    _ operands: [ValueID], with bias: ValueID, _ converter: inout ONNXConverter,
    _ node: ImportedNode
  ) throws(MartletError) -> [ValueID] {
    // Keys that are split by head are beyond their projection.
    guard converter.rank(of: operands[1]) == 3 else {
      throw node.error(.unsupported, "a bias beside keys that are split by head", input: "bias")
    }
    let width = try converter.shape(operands[0], from: -1, for: node)
    let two = try converter.constant([2], for: node)
    let twice = try converter.emitInner("Mul", [width, two], for: node)
    let bounds = [
      try converter.constant([0], for: node), width, twice, try converter.shape(bias, for: node),
    ]
    var sums: [ValueID] = []
    for (index, operand) in operands.enumerated() {
      let part = try converter.emitInner(
        "Slice", [bias, bounds[index], bounds[index + 1]], for: node)
      sums.append(try converter.emitInner("Add", [operand, part], for: node))
    }
    return sums
  }

  static func projected(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var node = node
    let settings = try Settings(&node)
    let sizes = try node.takeInts("qkv_hidden_sizes")
    _ = try node.takeInt("rotary_embedding_dim")
    try refuseExtras(&node, lastInput: 6)
    let input = try node.required(0, "input")
    let product = try converter.emitInner(
      "MatMul", [input, try node.required(1, "weights")], for: node)
    let sum = try converter.adding([node.input(2)], to: product, for: node)
    try attend(
      sum, sizes, settings, input: input, mask: node.input(3), past: node.input(4),
      bias: node.input(5), &converter, node)
  }

  static func quantized(
    _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var node = node
    let settings = try Settings(&node)
    try refuseExtras(&node, lastInput: 9)
    // In the order of MatMulIntegerToFloat.
    var product = node
    product.inputs = [0, 1, 3, 4, 6, 7].map { node.input($0) }
    let sum = try converter.adding(
      [try node.required(2, "bias")],
      to: try QuantizedProductForms.integerProduct(&converter, product), for: node)
    try attend(
      sum, nil, settings, input: try node.required(0, "input"), mask: node.input(5),
      past: node.input(8), bias: nil, &converter, node)
  }

  private static func refuseExtras(
    _ node: inout ImportedNode, lastInput: Int
  ) throws(MartletError) {
    for attribute in ["do_rotary", "past_present_share_buffer"]
    where try node.takeInt(attribute) ?? 0 != 0 {
      throw node.error(.unsupported, "\(attribute) is not supported", input: attribute)
    }
    try node.checkAllTaken()
    guard node.input(lastInput) == nil else {
      throw node.error(
        .unsupported, "input 'past_sequence_length' is not supported",
        input: "past_sequence_length")
    }
  }

  /// Attention of what projections made, queries, keys and values side by side in the last axis.
  private static func attend(
    _ sum: ValueID, _ sizes: [Int]?, _ settings: Settings, input: ValueID, mask: ValueID?,
    past: ValueID?, bias: ValueID?, _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    var parts: [ValueID?]
    if let sizes, !sizes.isEmpty {
      guard sizes.count == 3, sizes.allSatisfy({ $0 > 0 && $0 % settings.heads == 0 }),
        sizes[0] == sizes[1]
      else {
        throw node.error(
          .invalidModel,
          "qkv_hidden_sizes \(Shape.text(sizes)), expected two equal and a third, multiples of \(settings.heads)",
          input: "qkv_hidden_sizes")
      }
      parts = try converter.emitInner(
        "Split", [sum, try converter.constant(sizes, for: node)], ["axis": .int(-1)], outputs: 3,
        for: node)
    } else {
      parts = try converter.emitInner(
        "Split", [sum], ["axis": .int(-1), "num_outputs": .int(3)], outputs: 3, for: node)
    }
    let keys = AttentionMaskForm.Keys(new: input, axis: 1, past: past, pastAxis: 3)
    parts.append(
      try AttentionMaskForm(
        filter: settings.filter, batchOf: input, keys: keys, bias: bias, node
      ).convert(mask, isOfMultiHead: false, &converter))
    if let past {
      let halves = try converter.emitInner(
        "Split", [past], ["axis": .int(0), "num_outputs": .int(2)], outputs: 2, for: node)
      let axis = try converter.constant([0], for: node)
      for half in halves {
        parts.append(try converter.emitInner("Squeeze", [half, axis], for: node))
      }
    }
    let results = try converter.emitInner(
      "Attention", parts, settings.attributes, outputs: node.isWanted(1) ? 3 : 1, for: node)
    converter.bind(node, to: results[0])
    guard node.isWanted(1), results.count == 3 else { return }
    let present = [
      try converter.unsqueezed(results[1], [0], for: node),
      try converter.unsqueezed(results[2], [0], for: node),
    ]
    try converter.emit("Concat", present, ["axis": .int(0)], output: 1, for: node)
  }

  /// The attributes that all have.
  private struct Settings {
    let heads: Int
    let filter: Float
    /// Of ONNX's Attention.
    let attributes: [String: AttributeValue]

    init(_ node: inout ImportedNode) throws(MartletError) {
      guard let heads = try node.takeInt("num_heads"), heads > 0 else {
        throw node.error(
          .invalidModel, "attribute 'num_heads' must be given and above 0", input: "num_heads")
      }
      self.heads = heads
      filter = try node.takeFloat("mask_filter_value") ?? -10000
      var attributes: [String: AttributeValue] = [
        "q_num_heads": .int(heads), "kv_num_heads": .int(heads),
        // With the bias and the mask, before softmax.
        "qk_matmul_output_mode": .int(2),
        "is_causal": .int(try node.takeInt("unidirectional") ?? 0),
      ]
      if let scale = try node.takeFloat("scale"), scale != 0 { attributes["scale"] = .float(scale) }
      self.attributes = attributes
    }
  }
}
