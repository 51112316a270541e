import MartletBackends
import MartletCore

/// Scaled dot-product attention: softmax(cap(scale * Q @ K^T) + mask) @ V per head.
///
/// Q [B, Hq, L, E], K [B, Hk, T, E], V [B, Hk, T, Ev] with Hq a multiple of Hk, or the same with heads
/// inside the last axis ([B, L, Hq * E], …). Key and value may be preceded by past ones. The mask is
/// bool (true: attend) or added; a query that sees no key gives zero. Both products run in the mode's
/// precision; softmax is f32 (f64 for f64). Token t's result does not depend on what comes after it,
/// on other queries or on the batch.
///
/// Query i's position among the keys is p = i + offset: the offset is the past's length, or, where
/// `nonpad_kv_seqlen` says how many keys count, that number less L, or zero. Causal attention and
/// windows go by it.
///
/// A past that is a state which grows along its axis 2 is appended to in place, and the present is that
/// state.
///
/// Complexity: 2·B·Hq·L·T·(E + Ev) floating-point operations; scratch for a block of keys (f32) or for
/// the scores of some rows (f64, and where scores are an output).
/// Source: ONNX Attention-25, as of ONNX 1.23.2.
package struct Attention: Operator {
  package static let schema = OperatorSchema(
    name: "Attention",
    inputs: [
      "Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen",
    ], requiredInputs: 3,
    outputs: ["Y", "present_key", "present_value", "qk_matmul_output"],
    attributes: [
      "is_causal": "Whether position i attends to positions up to i (plus the past) only (0).",
      "kv_num_heads": "Heads of K and V, where they are inside the last axis.",
      "left_window_size":
        "How many keys before its position a query attends to; -1: all (-1).",
      "q_num_heads": "Heads of Q, where they are inside the last axis.",
      "qk_matmul_output_mode":
        "What qk_matmul_output holds: 0 the scaled product, 1 with softcap, 2 with the mask too, 3 after softmax.",
      "right_window_size":
        "How many keys after its position a query attends to; -1: all (-1).",
      "scale": "The factor of Q @ K^T (1 / sqrt(E)).",
      "softcap":
        "Scores become softcap * tanh(scores / softcap) before the mask is added; 0: they do not.",
      "softmax_precision": "Accepted; softmax never runs in less than float32.",
    ])

  private let attention: DotProductAttention

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    var attention = DotProductAttention(node)
    attention.isCausal = try attributes.bool("is_causal", default: false)
    attention.leftWindow = try Attention.window("left_window_size", attributes)
    attention.rightWindow = try Attention.window("right_window_size", attributes)
    attention.queryHeads = try Attention.heads("q_num_heads", attributes)
    attention.keyHeads = try Attention.heads("kv_num_heads", attributes)
    attention.scale = try attributes.optionalFloat("scale")
    attention.softcap = try attributes.float("softcap", default: 0)
    _ = try attributes.optionalInt("softmax_precision")
    let mode = try attributes.int("qk_matmul_output_mode", default: 0)
    guard let scores = AttentionCall.Stage(rawValue: mode) else {
      throw MartletError(
        .invalidArgument, "Attention: qk_matmul_output_mode is \(mode)",
        operatorName: "Attention", input: "qk_matmul_output_mode", expected: "0 to 3",
        actual: "\(mode)")
    }
    attention.scoresOutput = scores
    self.attention = attention
  }

  private static func heads(
    _ name: String, _ attributes: Attributes
  ) throws(MartletError) -> Int? {
    guard let heads = try attributes.optionalInt(name) else { return nil }
    guard heads >= 1 else {
      throw MartletError(
        .invalidArgument, "Attention: \(name) is \(heads)", operatorName: "Attention", input: name,
        expected: ">= 1", actual: "\(heads)")
    }
    return heads
  }

  private static func window(
    _ name: String, _ attributes: Attributes
  ) throws(MartletError) -> Int? {
    let size = try attributes.int(name, default: -1)
    guard size >= -1 else {
      throw MartletError(
        .invalidArgument, "Attention: \(name) is \(size)", operatorName: "Attention",
        input: name, expected: ">= -1", actual: "\(size)")
    }
    return size < 0 ? nil : size
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try attention.infer(inputs)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    try attention.run(inputs, context)
  }
}
