import MartletBackends
import MartletCore

/// softmax(scale * Q @ K^T + attn_mask) @ V, as exporters write attention out. Martlet's own.
///
/// Q [B, H, L, E], K [B, H, T, E], V [B, H, T, Ev], or all without the axis of heads; batches, heads and
/// mask broadcast as those of MatMul and Add; without that axis the mask is [L, T] at most. A query that sees no key gives NaN, as the softmax of
/// nothing but -Inf does. Computed as Attention is, which see.
package struct FusedAttention: MartletOperator {
  package static let schema = OperatorSchema(
    name: "FusedAttention", domain: OperatorID.martletDomain,
    inputs: ["Q", "K", "V", "attn_mask"], requiredInputs: 3, outputs: ["Y"],
    attributes: [
      "grouped":
        "Whether K and V may have fewer heads than Q, each for a group of Q's; then they do not broadcast (0).",
      "nan_to_zero":
        "Whether a query whose weights are NaN (it sees no key, or a score is NaN) gives zero (0).",
      "scale": "The factor of Q @ K^T (1).",
    ])

  private let attention: DotProductAttention
  private let scale: Float
  private let makesNaNZero: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    scale = try node.attributes.float("scale", default: 1)
    makesNaNZero = try node.attributes.bool("nan_to_zero", default: false)
    var attention = DotProductAttention(node)
    attention.scale = scale
    attention.broadcasts = try !node.attributes.bool("grouped", default: false)
    attention.empty = makesNaNZero ? .alwaysZero : .nan
    attention.queryHeads = 1
    attention.keyHeads = 1
    self.attention = attention
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try checkMask(rank: inputs.type(3)?.shape?.count, queryRank: inputs.type(0)?.shape?.count)
    return try attention.infer(inputs)
  }

  /// Beside operands of rank 3, [B, L, T] would be taken for [heads, L, T].
  private func checkMask(rank: Int?, queryRank: Int?) throws(MartletError) {
    guard let rank, queryRank == 3, rank > 2 else { return }
    throw .shape(
      Self.schema.name, "attn_mask beside operands of rank 3", expected: "rank 2 at most",
      actual: "rank \(rank)", input: "attn_mask")
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    if let mask = inputs.optional(3), !mask.dtype.isFloatingPoint {
      throw .dtype(
        Self.schema.name, "attn_mask", expected: "a floating-point type", actual: mask.dtype)
    }
    try checkMask(rank: inputs.optional(3)?.rank, queryRank: inputs.optional(0)?.rank)
    try attention.run(inputs, context)
  }

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    var (q, k, v) = (body.input(0) ?? "", body.input(1) ?? "", body.input(2) ?? "")
    let isGrouped = !attention.broadcasts && inputs.type(0)?.shape?.count != 3
    let groups = isGrouped ? Groups(q, k, &body) : nil
    if let groups {
      q = groups.split(q, &body)
      k = groups.unsqueezed(k, &body)
      v = groups.unsqueezed(v, &body)
    }
    var scores = body.add("MatMul", [q, body.matrixTransposed(k)])
    if scale != 1 { scores = body.add("Mul", [scores, body.scalar(scale, like: scores)]) }
    if let groups { scores = groups.joined(scores, &body) }
    scores = body.adding(3...3, to: scores)
    var weights = body.add("Softmax", [scores], ["axis": .int(-1)])
    if makesNaNZero {
      let test = body.add("IsNaN", [weights])
      weights = body.add("Where", [test, body.scalar(0, like: weights), weights])
    }
    if let groups { weights = groups.split(weights, &body) }
    var y = body.add("MatMul", [weights, v])
    if let groups { y = groups.joined(y, &body) }
    body.outputs = [y]
    return body
  }

  /// Q's heads [B, Hq, ...] as groups [B, Hk, G, ...] beside K's and V's [B, Hk, 1, ...].
  private struct Groups {
    /// [B, Hk, G] and [B, Hq], computed in the run.
    let split: String
    let whole: String
    let axis: String

    init(_ q: String, _ k: String, _ body: inout FunctionBody) {
      let range: [String: AttributeValue] = ["start": .int(1), "end": .int(2)]
      let keyHeads = body.add("Shape", [k], range)
      let group = body.add("Div", [body.add("Shape", [q], range), keyHeads])
      let batch = body.add("Shape", [q], ["start": .int(0), "end": .int(1)])
      split = body.add("Concat", [batch, keyHeads, group], ["axis": .int(0)])
      whole = body.add("Shape", [q], ["start": .int(0), "end": .int(2)])
      axis = body.integers([2])
    }

    func split(_ value: String, _ body: inout FunctionBody) -> String {
      reshaped(value, to: split, from: 2, &body)
    }

    func joined(_ value: String, _ body: inout FunctionBody) -> String {
      reshaped(value, to: whole, from: 3, &body)
    }

    func unsqueezed(_ value: String, _ body: inout FunctionBody) -> String {
      body.add("Unsqueeze", [value, axis])
    }

    /// The axes before `first` as `front`.
    private func reshaped(
      _ value: String, to front: String, from first: Int, _ body: inout FunctionBody
    ) -> String {
      let rest = body.add("Shape", [value], ["start": .int(first)])
      let shape = body.add("Concat", [front, rest], ["axis": .int(0)])
      return body.add("Reshape", [value, shape], ["allowzero": .int(1)])
    }
  }
}
