import MartletBackends
import MartletCore

/// Attention without a softmax, as a recurrence of a state [d_k, d_v] per head of keys.
///
/// query [B, T, Hq·d_k], key [B, T, Hk·d_k], value [B, T, Hk·d_v]; past_state [B, Hk, d_k, d_v], zeros
/// where absent; decay [B, T, Hk·d_k] or [B, T, Hk], in log space; beta [B, T, Hk] or [B, T, 1].
/// With g = exp(decay), or 1, and for the rules without delta u = v:
///
///     S = g S;  u = beta (v - S^T k);  S = S + k u^T;  o = scale S^T q
///
/// query head h reads the state of head h / (Hq / Hk). Computed in float32, sums in the order of d_k,
/// and rounded once; token t does not depend on what comes after it, nor on the batch.
/// Complexity: about 6·B·T·Hk·d_k·d_v + 2·B·T·Hq·d_k·d_v floating-point operations.
/// Source: ONNX LinearAttention-27.
package struct LinearAttention: Operator {
  package static let schema = OperatorSchema(
    name: "LinearAttention",
    inputs: ["query", "key", "value", "past_state", "decay", "beta"], requiredInputs: 3,
    outputs: ["output", "present_state"],
    attributes: [
      "chunk_size": "A hint that is not used (64).", "kv_num_heads": "Heads of key and value.",
      "q_num_heads": "Heads of query, a multiple of those.",
      "scale": "The factor of the output; 0: 1 / sqrt(d_k) (0).",
      "update_rule": "linear, gated, delta or gated_delta (gated_delta).",
    ])

  private let queryHeads: Int
  private let keyHeads: Int
  private let scale: Float
  private let isGated: Bool
  private let isDelta: Bool
  private let outputCount: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    func fault(_ attribute: String, _ expected: String, _ actual: String) -> MartletError {
      MartletError(
        .invalidArgument,
        "LinearAttention: attribute '\(attribute)': expected \(expected), got \(actual)",
        operatorName: "LinearAttention", input: attribute, expected: expected, actual: actual)
    }
    let attributes = node.attributes
    keyHeads = try attributes.int("kv_num_heads", default: 0)
    guard keyHeads > 0 else { throw fault("kv_num_heads", "1 or more", "\(keyHeads)") }
    queryHeads = try attributes.int("q_num_heads", default: 0)
    guard queryHeads > 0, queryHeads % keyHeads == 0 else {
      throw fault("q_num_heads", "a multiple of \(keyHeads)", "\(queryHeads)")
    }
    scale = try attributes.float("scale", default: 0)
    _ = try attributes.int("chunk_size", default: 64)
    let rule = try attributes.string("update_rule", default: "gated_delta")
    guard ["linear", "gated", "delta", "gated_delta"].contains(rule) else {
      throw fault("update_rule", "linear, gated, delta or gated_delta", rule)
    }
    isGated = rule.hasPrefix("gated")
    isDelta = rule.hasSuffix("delta")
    outputCount = max(node.outputCount, 1)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    func head(_ index: Int, _ heads: Int) -> Dimension {
      guard let shape = inputs.type(index)?.shape, shape.count == 3 else { return .unknown }
      return Inference.exactQuotient(shape[2], .known(heads))
    }
    let query = inputs.type(0)
    var (batch, length) = (Dimension.unknown, Dimension.unknown)
    if let shape = query?.shape, shape.count == 3 { (batch, length) = (shape[0], shape[1]) }
    let value = head(2, keyHeads)
    let hasPast = inputs.count > 3 && inputs[3] != nil
    let all = [
      ValueType(
        dtype: query?.dtype,
        shape: [batch, length, Inference.times(value, .known(queryHeads))]),
      ValueType(
        dtype: hasPast ? inputs.type(3)?.dtype : query?.dtype,
        shape: [batch, .known(keyHeads), head(1, keyHeads), value]),
    ]
    return Array(all.prefix(outputCount))
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let query = try inputs.required(0, Self.isAllowed, Self.types)
    func fault(_ index: Int, _ expected: String) -> MartletError {
      .shape(
        "LinearAttention", inputs.name(index), expected: expected,
        actual: Shape.text(inputs.optional(index)?.shape ?? []), input: inputs.name(index))
    }
    func operand(_ index: Int, _ heads: Int) throws(MartletError) -> (Tensor, width: Int) {
      let tensor = try inputs.required(index, like: query.dtype)
      guard tensor.rank == 3, tensor.shape[2] % heads == 0,
        tensor.shape[..<2] == query.shape[..<2]
      else { throw fault(index, "[batch, length, a multiple of \(heads)], as query") }
      return (try context.dense(tensor, .float32), tensor.shape[2] / heads)
    }
    let (q, width) = try operand(0, queryHeads)
    let (k, keyWidth) = try operand(1, keyHeads)
    let (v, valueWidth) = try operand(2, keyHeads)
    guard keyWidth == width else { throw fault(1, "[batch, length, \(keyHeads * width)]") }
    let (batch, length) = (query.shape[0], query.shape[1])
    var problem = LinearAttentionProblem(
      batch: batch, length: length, queryHeads: queryHeads, keyHeads: keyHeads, keyWidth: width,
      valueWidth: valueWidth, query: UnsafePointer(q.typed(Float.self)),
      key: UnsafePointer(k.typed(Float.self)), value: UnsafePointer(v.typed(Float.self)),
      scale: scale == 0 ? 1 / Float(max(width, 1)).squareRoot() : scale)
    if isGated {
      let decay = try inputs.required(4, like: query.dtype)
      guard decay.shape == [batch, length, keyHeads] || decay.shape == [batch, length, k.shape[2]]
      else { throw fault(4, "[\(batch), \(length), \(keyHeads) or \(k.shape[2])]") }
      // In one go, for all tokens.
      let factors = try context.scratch(.float32, decay.shape)
      try Elementwise.unary(
        .exp, try context.dense(decay, .float32), into: factors, context.workspace)
      problem.decay = UnsafePointer(factors.typed(Float.self))
      problem.decayWidth = decay.shape[2] == keyHeads ? 1 : width
    }
    if isDelta {
      let beta = try inputs.required(5, like: query.dtype)
      guard beta.shape == [batch, length, keyHeads] || beta.shape == [batch, length, 1] else {
        throw fault(5, "[\(batch), \(length), \(keyHeads) or 1]")
      }
      problem.beta = UnsafePointer(try context.dense(beta, .float32).typed(Float.self))
      problem.hasOneBeta = beta.shape[2] == 1
    }
    let past = inputs.optional(3)
    let stateType =
      try past == nil ? query.dtype : inputs.required(3, Self.isAllowed, Self.types).dtype
    let stateShape = [batch, keyHeads, width, valueWidth]
    if let past, past.shape != stateShape { throw fault(3, Shape.text(stateShape)) }
    let state =
      try stateType == .float32
      ? context.output(1, .float32, stateShape) : context.scratch(.float32, stateShape)
    if let past {
      try Casting.cast(past, into: state, context.workspace)
    } else {
      Copying.zero(state)
    }
    let shape = [batch, length, queryHeads * valueWidth]
    _ = try Shape.byteCount([batch, length, queryHeads, valueWidth], .float32)
    let result =
      try query.dtype == .float32
      ? context.output(0, .float32, shape) : context.scratch(.float32, shape)
    problem.run(
      state: state.typed(Float.self), into: result.typed(Float.self), pool: context.pool)
    context.deliver(try context.finish(result, as: query.dtype))
    if outputCount > 1 {
      context.deliver(try context.finish(state, as: stateType, output: 1))
    }
  }

  private static let types = "float32, float16 or bfloat16"
  private static func isAllowed(_ dtype: DType) -> Bool {
    dtype == .float32 || dtype == .float16 || dtype == .bfloat16
  }
}
