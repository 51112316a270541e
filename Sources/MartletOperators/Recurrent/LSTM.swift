import MartletBackends
import MartletCore

/// A layer of long short-term memory, forward, reverse or both, with peepholes, coupled gates, clipping
/// and rows of their own lengths.
///
///     i, o, f = f(x W + h R + Wb + Rb + P c),  g = g(x W + h R + Wb + Rb)
///     c = f c + i g,  h = o h(c);  o's peephole sees the new c
///
/// X [steps, batch, input], W [directions, 4·H, input], R [directions, 4·H, H], B [directions, 8·H],
/// sequence_lens [batch], initial_h and initial_c [directions, batch, H], P [directions, 3·H], gates in
/// the order i, o, f, g; Y [steps, directions, batch, H], Y_h and Y_c [directions, batch, H].
/// 16-bit floats are computed in float32 and rounded once, at the end; in BF16 mode both products are
/// bf16 work and all else stays float32. Beyond a row's length Y is zero; a row of length 0 ends in
/// zeros.
///
/// Complexity: 2·steps·batch·4·H·(input + H) floating-point operations per direction; scratch for
/// steps·batch·4·H elements. Source: ONNX LSTM-22.
package struct LSTM: SharingOperator {
  package static let schema = OperatorSchema(
    name: "LSTM",
    inputs: ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"],
    requiredInputs: 3, outputs: ["Y", "Y_h", "Y_c"],
    attributes: RecurrentAttributes.descriptions.merging([
      "input_forget": "Whether the forget gate is 1 less the input gate (0)."
    ]) { first, _ in first })

  package let work: RecurrentLayers

  package init(_ node: OperatorNode) throws(MartletError) {
    let couplesGates = try node.attributes.bool("input_forget", default: false)
    let attributes = try RecurrentAttributes(
      node.attributes, defaults: ["Sigmoid", "Tanh", "Tanh"])
    work = try RecurrentLayers(
      Self.schema, .lstm(couplesGates: couplesGates), attributes, node)
  }
}
