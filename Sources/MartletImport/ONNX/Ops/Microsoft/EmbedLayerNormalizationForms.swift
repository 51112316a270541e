import MartletCore
import MartletGraph
import MartletOperators

/// EmbedLayerNormalization: the embeddings of words, positions and segments, their sum, and
/// LayerNormalization of it.
///
/// mask_index counts the ones of each row of the mask; without a mask it is 0.
/// Source: com.microsoft of ONNX Runtime 1.32.
enum EmbedLayerNormalizationForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let epsilon = try node.takeFloat("epsilon") ?? 1e-12
    _ = try node.takeInt("mask_index_type")
    try node.checkAllTaken()
    let ids = try node.required(0, "input_ids")
    let words = try node.required(2, "word_embedding")
    let positions = try node.required(3, "position_embedding")
    let parameters = [try node.required(5, "gamma"), try node.required(6, "beta")]
    var places: ValueID
    if let given = node.input(8) {
      places = given
    } else {
      let length = try converter.shape(ids, from: 1, to: 2, for: node)
      places = try converter.range(try converter.element(length, for: node), for: node)
    }
    var terms = [(words, ids), (positions, places)]
    if let segments = node.input(1), let table = node.input(4) { terms.append((table, segments)) }
    var sum: ValueID?
    for (table, indices) in terms {
      let rows = try converter.emitInner(
        "Gather", [table, indices], ["axis": .int(0)], for: node)
      let term = try converter.widened(rows, for: node)
      sum = try converter.adding([sum], to: term, for: node)
    }
    guard let sum else { return }
    var inputs: [ValueID?] = [sum]
    for parameter in parameters { inputs.append(try converter.widened(parameter, for: node)) }
    let y = try converter.emitInner(
      "LayerNormalization", inputs, ["epsilon": .float(epsilon)], for: node)
    try converter.emitNarrowed(y, like: words, output: 0, for: node)
    try emitCounts(ids, &converter, node)
    try converter.emitNarrowed(sum, like: words, output: 2, for: node)
  }

  private static func emitCounts(
    _ ids: ValueID, _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    guard node.isWanted(1) else { return }
    guard let mask = node.input(7) else {
      let none = try converter.zero(.int32, for: node)
      let batch = try converter.shape(ids, from: 0, to: 1, for: node)
      return try converter.emit("Expand", [none, batch], output: 1, for: node)
    }
    let tensor = try Tensor(uninitialized: .int32, [])
    tensor.typed(Int32.self)[0] = 1
    let one = converter.constant(tensor, for: node)
    let isOne = try converter.emitInner("Equal", [mask, one], for: node)
    let ones = try converter.cast(isOne, to: .int32, for: node)
    try converter.emit(
      "ReduceSum", [ones, try converter.constant([1], for: node)], ["keepdims": .int(0)],
      output: 1, for: node)
  }
}
