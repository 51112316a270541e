import MartletBackends
import MartletCore

/// Pairs of each head's elements turned by the angle of their position:
/// (x1, x2) to (cos x1 - sin x2, sin x1 + cos x2), pairs being halves or, interleaved, neighbours.
///
/// X is [batch, heads, sequence, size] or, with `num_heads`, [batch, sequence, heads * size]; the
/// caches are [positions, size/2] with position_ids [batch, sequence], or [batch, sequence, size/2]
/// without. Source: ONNX RotaryEmbedding-23.
package struct RotaryEmbedding: Operator {
  package static let schema = OperatorSchema(
    name: "RotaryEmbedding", inputs: ["X", "cos_cache", "sin_cache", "position_ids"],
    requiredInputs: 3, outputs: ["Y"],
    attributes: [
      "interleaved": "whether pairs are neighbours, 0", "num_heads": "for inputs of rank 3, 0",
      "rotary_embedding_dim": "how much of each head is turned; 0: all",
    ])
  private let isInterleaved: Bool
  private let heads: Int
  private let rotaryDim: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    isInterleaved = try node.attributes.bool("interleaved", default: false)
    heads = try node.attributes.int("num_heads", default: 0)
    rotaryDim = try node.attributes.int("rotary_embedding_dim", default: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    let output = try context.output(0, x.dtype, x.shape)
    let source = try byHead(try context.contiguous(x))
    let target = try byHead(output)
    let (batch, length, size) = (source.shape[0], source.shape[1], source.shape[3])
    let turned = rotaryDim == 0 ? size : rotaryDim
    guard turned >= 0, turned <= size, turned % 2 == 0 else {
      throw .shape(
        "RotaryEmbedding", "the turned part does not fit the heads",
        expected: "an even number up to \(size)", actual: "\(turned)")
    }
    let half = turned / 2
    let cosine = try angles(1, inputs, batch, length, half, context)
    let sine = try angles(2, inputs, batch, length, half, context)
    try Rotation(cosine: cosine, sine: sine, half: half, isInterleaved: isInterleaved)
      .apply(source, into: target, context)
    context.deliver(output)
  }

  /// A contiguous X as [batch, sequence, heads, size].
  private func byHead(_ x: Tensor) throws(MartletError) -> Tensor {
    if x.rank == 4 { return try x.permuted([0, 2, 1, 3]) }
    guard x.rank == 3, heads > 0, x.shape[2] % heads == 0 else {
      throw .shape(
        "RotaryEmbedding", "X does not fit \(heads) heads",
        expected: "rank 4, or rank 3 with num_heads that divide the last axis",
        actual: Shape.text(x.shape), input: "X")
    }
    return try x.reshaped([x.shape[0], x.shape[1], heads, x.shape[2] / heads])
  }

  /// A cache as [batch, sequence, 1, half], looked up by position where there are position_ids.
  private func angles(
    _ index: Int, _ inputs: Inputs, _ batch: Int, _ length: Int, _ half: Int,
    _ context: RunContext
  ) throws(MartletError) -> Tensor {
    var cache = try inputs.required(index, like: try inputs.required(0).dtype)
    if let positions = inputs.optional(3) {
      guard positions.shape == [batch, length], positions.dtype.isInteger, cache.rank == 2,
        cache.shape[1] == half
      else { throw mismatch(inputs.name(index), cache, "[positions, \(half)]") }
      let rows = try Indices.normalized(
        positions, bound: cache.shape[0], axis: 0, operatorName: "RotaryEmbedding", context)
      let picked = try context.scratch(cache.dtype, [batch, length, half])
      Gathering.slices(
        try context.contiguous(cache), outer: 1, extent: cache.shape[0], inner: half,
        indices: rows, into: picked, context.workspace)
      cache = picked
    }
    guard cache.shape == [batch, length, half] else {
      throw mismatch(inputs.name(index), cache, "[\(batch), \(length), \(half)]")
    }
    return try cache.restrided(
      [batch, length, 1, half],
      strides: [cache.strides[0], cache.strides[1], 0, cache.strides[2]])
  }

  private func mismatch(_ name: String, _ cache: Tensor, _ expected: String) -> MartletError {
    .shape(
      "RotaryEmbedding", "\(name) does not fit X", expected: expected,
      actual: Shape.text(cache.shape), input: name)
  }
}
