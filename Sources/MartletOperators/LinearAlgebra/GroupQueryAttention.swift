import MartletBackends
import MartletCore

/// Attention whose key heads each serve a group of query heads, with a buffer of past keys and values,
/// rotary embedding, a window, a cap on scores and sinks.
///
/// query [B, S, N·H] with key and value [B, S, Nk·H], or all in one [B, S, (N + 2·Nk)·H]; past_key and
/// past_value [B, Nk, P, H]; seqlens_k [B]: keys of each row after this run, less 1;
/// total_sequence_length: their largest. Where that is S, a prompt begins and the past is not read; else
/// a row's new keys stand behind its `seqlens_k + 1 - S` past ones. present_key and present_value
/// [B, Nk, max(P, total), H] are 0 beyond the new keys.
///
/// Scores are scale · q · k, capped, plus attention_bias; query i at position p = past + i sees keys up
/// to p, with a window of W those from p - W + 1 on. smooth_softmax and head_sink are one more term of
/// the softmax's denominator. output_qk holds scores of keys that are not seen as 0.
///
/// Computed in float32; 16-bit floats are rounded once, at the end. Complexity: 4·B·N·S·T·H
/// floating-point operations. Source: com.microsoft GroupQueryAttention of ONNX Runtime 1.32.
package struct GroupQueryAttention: Operator {
  package static let schema = OperatorSchema(
    name: "GroupQueryAttention", domain: OperatorID.microsoftDomain,
    inputs: [
      "query", "key", "value", "past_key", "past_value", "seqlens_k", "total_sequence_length",
      "cos_cache", "sin_cache", "position_ids", "attention_bias", "head_sink", "k_scale",
      "v_scale", "q_norm_weight", "k_norm_weight", "query_seqlens",
    ], requiredInputs: 7,
    outputs: ["output", "present_key", "present_value", "output_qk"],
    attributes: [
      "causal": "Whether a query sees no keys after its position (1).",
      "do_rotary": "Whether queries and new keys are turned by their positions (0).",
      "k_norm_epsilon": "Added to the mean square of keys that are normalised (qk_norm_epsilon).",
      "k_quant_type": "NONE; how a cache of keys is quantised is not supported (NONE).",
      "kv_cache_bit_width": "Not supported beside NONE (0).",
      "kv_num_heads": "Heads of keys and values.",
      "local_window_size": "How many keys a query sees, its own among them; -1: all (-1).",
      "num_heads": "Heads of queries.",
      "q_norm_epsilon": "Added to the mean square of queries that are normalised.",
      "qk_norm_epsilon": "The default of both (1e-6).",
      "qk_output": "What output_qk holds: 1 scores before softmax, 2 after; 0: nothing (0).",
      "rotary_interleaved": "Whether the pairs that are turned are neighbours (0).",
      "scale": "The factor of scores; 0: 1 / sqrt(H) (0).",
      "sliding_window_cache": "Not supported (0).",
      "smooth_softmax": "1: exp(0) is part of the denominator (-1).",
      "softcap": "Scores become softcap * tanh(scores / softcap); 0: they do not (0).",
      "v_quant_type": "As k_quant_type (NONE).",
    ])

  private let heads: Int
  private let keyHeads: Int
  private let scale: Float?
  private let softcap: Float
  private let window: Int?
  private let isCausal: Bool
  private let isTurned: Bool
  private let isInterleaved: Bool
  private let isSmooth: Bool
  private let epsilons: [Float]
  private let exposed: AttentionCall.Stage?
  private let outputCount: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    func refuse(
      _ attribute: String, _ code: MartletError.Code, _ actual: String, _ expected: String
    )
      -> MartletError
    {
      MartletError(
        code, "\(Self.schema.name): \(attribute) is \(actual), expected \(expected)",
        operatorName: Self.schema.name, input: attribute, expected: expected, actual: actual)
    }
    func count(_ name: String) throws(MartletError) -> Int {
      let value = try attributes.int(name, default: 0)
      guard value > 0 else { throw refuse(name, .invalidArgument, "\(value)", "1 or more") }
      return value
    }
    heads = try count("num_heads")
    keyHeads = try count("kv_num_heads")
    guard heads % keyHeads == 0 else {
      throw refuse("num_heads", .invalidArgument, "\(heads)", "a multiple of \(keyHeads)")
    }
    for name in ["k_quant_type", "v_quant_type"] {
      let type = try attributes.string(name, default: "NONE")
      guard type == "NONE" else { throw refuse(name, .unsupported, type, "NONE") }
    }
    _ = try attributes.int("kv_cache_bit_width", default: 0)
    let slides = try attributes.int("sliding_window_cache", default: 0)
    guard slides == 0 else {
      throw refuse("sliding_window_cache", .unsupported, "\(slides)", "0")
    }
    isCausal = try attributes.bool("causal", default: true)
    let size = try attributes.int("local_window_size", default: -1)
    guard size == -1 || (size > 0 && isCausal) else {
      throw refuse(
        "local_window_size", .invalidArgument, "\(size)", isCausal ? "-1, or 1 or more" : "-1")
    }
    window = size < 0 ? nil : size
    let factor = try attributes.float("scale", default: 0)
    scale = factor == 0 ? nil : factor
    softcap = try attributes.float("softcap", default: 0)
    isTurned = try attributes.bool("do_rotary", default: false)
    isInterleaved = try attributes.bool("rotary_interleaved", default: false)
    isSmooth = try attributes.int("smooth_softmax", default: -1) == 1
    let common = try attributes.float("qk_norm_epsilon", default: 1e-6)
    epsilons = [
      try attributes.float("q_norm_epsilon", default: common),
      try attributes.float("k_norm_epsilon", default: common),
    ]
    let stage = try attributes.int("qk_output", default: 0)
    guard (0...2).contains(stage) else {
      throw refuse("qk_output", .invalidArgument, "\(stage)", "0 to 2")
    }
    exposed = stage == 0 ? nil : stage == 1 ? .masked : .probabilities
    outputCount = min(max(node.outputCount, 1), exposed == nil ? 3 : 4)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    let isPacked = inputs.count <= 1 || inputs[1] == nil
    var (batch, length, width) = (Dimension.unknown, Dimension.unknown, Dimension.unknown)
    if let shape = inputs.type(0)?.shape, shape.count == 3 {
      (batch, length) = (shape[0], shape[1])
      let parts = isPacked ? heads + 2 * keyHeads : heads
      width = Inference.exactQuotient(shape[2], .known(parts))
    }
    let total = inputs.type(6)?.knownIntegers.flatMap { $0.count == 1 ? $0[0] : nil }
    var buffer = Dimension.unknown
    if let total, total >= 0 {
      if inputs.count <= 3 || inputs[3] == nil {
        buffer = .known(total)
      } else if let past = inputs.type(3)?.shape, past.count == 4, case .known(let rows) = past[2] {
        buffer = .known(max(rows, total))
      }
    }
    let present = ValueType(dtype: dtype, shape: [batch, .known(keyHeads), buffer, width])
    let all = [
      ValueType(
        dtype: dtype, shape: [batch, length, Inference.times(width, .known(heads))]), present,
      present,
      ValueType(
        dtype: dtype,
        shape: [batch, .known(heads), length, total.map { .known(max($0, 0)) } ?? .unknown]),
    ]
    return Array(all.prefix(outputCount))
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    for index in [12, 13, 16] where inputs.optional(index) != nil {
      throw MartletError(
        .unsupported, "\(Self.schema.name): input '\(inputs.name(index))' is not supported",
        operatorName: Self.schema.name, input: inputs.name(index), expected: "nothing",
        actual: "a tensor")
    }
    let query = try inputs.required(
      0, { $0.isFloatingPoint && $0 != .float64 && !$0.isNarrow },
      "float32, float16 or bfloat16")
    var (q, k, v) = try operands(inputs, query, context)
    let rows = try CachedRows(
      inputs, batch: q.shape[0], queries: q.shape[1], heads: keyHeads, width: q.shape[3])
    if let weight = inputs.optional(14) { q = try normalized(q, weight, epsilons[0], context) }
    if let weight = inputs.optional(15) { k = try normalized(k, weight, epsilons[1], context) }
    if isTurned {
      let turn = try rotation(inputs, rows, q, context)
      q = try turn.applied(to: q, context)
      k = try turn.applied(to: k, context)
    }
    let keys = try rows.present(inputs, 3, k, isOutput: outputCount > 1, context)
    let values = try rows.present(inputs, 4, v, isOutput: outputCount > 2, context)
    func seen(_ tensor: Tensor) -> Tensor {
      tensor.sliced(axis: 2, start: 0, count: rows.total, step: 1)
    }
    v = seen(values)
    k = seen(keys)

    let shape = [q.shape[0], q.shape[1], q.shape[2], q.shape[3]]
    let result = try context.scratch(.float32, shape)
    q = try q.permuted([0, 2, 1, 3])
    var call = AttentionCall(
      q: q, k: k, v: v,
      mask: try AttentionMask(
        inputs.optional(10), shape: [shape[0], heads, shape[1], rows.total], context),
      scale: scale.map { Double($0) } ?? 1 / Double(max(shape[3], 1)).squareRoot(),
      softcap: softcap, visible: rows.visible(isCausal: isCausal, window: window), empty: .zero)
    let visible = call.visible
    if isSmooth || inputs.optional(11) != nil {
      call = try AttentionSinks(inputs.optional(11), heads, Self.schema.name, context)
        .added(to: call, context)
    }
    try call.runFused(into: try result.permuted([0, 2, 1, 3]), context)

    let whole = try Shape.elementCount([shape[2], shape[3]])
    let flat = try result.reshaped([shape[0], shape[1], whole])
    let output = try context.output(0, query.dtype, flat.shape)
    try Casting.cast(flat, into: output, context.workspace)
    context.deliver(output)
    for (index, tensor) in [keys, values].enumerated() where index + 1 < outputCount {
      context.deliver(try context.finish(tensor, as: query.dtype, output: index + 1))
    }
    if outputCount > 3 { try deliverScores(call, visible, rows.total, query.dtype, context) }
  }

  /// [B, S, heads, H] each, float32.
  private func operands(
    _ inputs: Inputs, _ query: Tensor, _ context: RunContext
  ) throws(MartletError) -> (q: Tensor, k: Tensor, v: Tensor) {
    let isPacked = inputs.optional(1) == nil
    let parts = isPacked ? heads + 2 * keyHeads : heads
    guard query.rank == 3, query.shape[2] % parts == 0, isPacked == (inputs.optional(2) == nil)
    else {
      throw .shape(
        Self.schema.name, "query", expected: "[batch, length, a multiple of \(parts)]",
        actual: Shape.text(query.shape), input: "query")
    }
    let width = query.shape[2] / parts
    func split(_ tensor: Tensor, _ count: Int) throws(MartletError) -> Tensor {
      let dense = try context.dense(tensor, .float32)
      return try dense.reshaped([tensor.shape[0], tensor.shape[1], count, width])
    }
    if isPacked {
      let all = try split(query, parts)
      func part(_ start: Int, _ count: Int) -> Tensor {
        all.sliced(axis: 2, start: start, count: count, step: 1)
      }
      return (part(0, heads), part(heads, keyHeads), part(heads + keyHeads, keyHeads))
    }
    var others: [Tensor] = []
    for index in 1...2 {
      let tensor = try inputs.required(index, like: query.dtype)
      let expected = [query.shape[0], query.shape[1], keyHeads * width]
      guard tensor.shape == expected else {
        throw .shape(
          Self.schema.name, inputs.name(index), expected: Shape.text(expected),
          actual: Shape.text(tensor.shape), input: inputs.name(index))
      }
      others.append(try split(tensor, keyHeads))
    }
    return (try split(query, heads), others[0], others[1])
  }

  /// Each head over the root of its mean square, times `weight` [H].
  private func normalized(
    _ x: Tensor, _ weight: Tensor, _ epsilon: Float, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    guard weight.shape == [x.shape[3]], weight.dtype.isFloatingPoint else {
      throw .shape(
        Self.schema.name, "the weight of a norm", expected: "[\(x.shape[3])]",
        actual: Shape.text(weight.shape))
    }
    let source = try context.contiguous(x)
    let result = try context.scratch(.float32, x.shape)
    RowFunctions.rmsNorm(
      source, x.shape[3], scale: try context.dense(weight, .float32), epsilon: epsilon,
      into: result, context.workspace)
    return result
  }

  private func rotation(
    _ inputs: Inputs, _ rows: CachedRows, _ q: Tensor, _ context: RunContext
  ) throws(MartletError) -> Rotation {
    var positions = rows.positions
    if inputs.optional(9) != nil {
      let given = try inputs.required(9, { $0 == .int64 || $0 == .int32 }, "int32 or int64")
      guard given.shape == [q.shape[0], q.shape[1]] else {
        throw .shape(
          Self.schema.name, "position_ids", expected: "[\(q.shape[0]), \(q.shape[1])]",
          actual: Shape.text(given.shape), input: "position_ids")
      }
      try context.checkRoom(given.count, Self.schema.name)
      positions = SmallTensors.integers(given)
    }
    let caches = [try inputs.float(7), try inputs.float(8)]
    let half = caches[0].rank == 2 ? caches[0].shape[1] : -1
    var angles: [Tensor] = []
    for (index, cache) in caches.enumerated() {
      guard cache.rank == 2, cache.shape == caches[0].shape, half * 2 <= q.shape[3] else {
        throw .shape(
          Self.schema.name, inputs.name(7 + index),
          expected: "[positions, \(q.shape[3] / 2) at most], as the other",
          actual: Shape.text(cache.shape), input: inputs.name(7 + index))
      }
      guard positions.allSatisfy({ (0..<cache.shape[0]).contains($0) }) else {
        throw MartletError(
          .invalidArgument,
          "\(Self.schema.name): a position lies outside \(inputs.name(7 + index)), which has \(cache.shape[0]) rows",
          operatorName: Self.schema.name, input: inputs.name(7 + index),
          expected: "0 ..< \(cache.shape[0])", actual: "\(positions.max() ?? 0)")
      }
      let picked = try context.scratch(.float32, [q.shape[0], q.shape[1], 1, half])
      Gathering.slices(
        try context.dense(cache, .float32), outer: 1, extent: cache.shape[0], inner: half,
        indices: positions, into: picked, context.workspace)
      angles.append(picked)
    }
    return Rotation(
      cosine: angles[0], sine: angles[1], half: half, isInterleaved: isInterleaved)
  }

  private func deliverScores(
    _ call: AttentionCall, _ visible: VisibleKeys, _ total: Int, _ dtype: DType,
    _ context: RunContext
  ) throws(MartletError) {
    guard let exposed else { return }
    let (q, keys) = (call.q, call.k.shape[2])
    let scores = try context.scratch(.float32, [q.shape[0], heads, q.shape[2], keys])
    try call.runPlain(into: nil, exposing: (exposed, scores), context)
    let values = scores.typed(Float.self)
    for row in 0..<(keys == 0 ? 0 : scores.count / keys) {
      let seen = visible.range(row / (heads * q.shape[2]), row % q.shape[2], of: total)
      for key in 0..<total where !seen.contains(key) { values[row * keys + key] = 0 }
    }
    let kept = scores.sliced(axis: 3, start: 0, count: total, step: 1)
    let output = try context.output(3, dtype, kept.shape)
    try Casting.cast(kept, into: output, context.workspace)
    context.deliver(output)
  }
}
