import MartletBackends
import MartletCore

/// A layer of gated recurrent units, forward, reverse or both, with clipping and rows of their own
/// lengths.
///
///     z, r = f(x W + h R + Wb + Rb),  h = (1 - z) n + z h,  and
///     n = g(x W + (r h) R + Wb + Rb), or with linear_before_reset g(x W + r (h R + Rb) + Wb)
///
/// X [steps, batch, input], W [directions, 3·H, input], R [directions, 3·H, H], B [directions, 6·H],
/// sequence_lens [batch], initial_h [directions, batch, H], gates in the order z, r, n;
/// Y [steps, directions, batch, H], Y_h [directions, batch, H]. 16-bit floats are computed in float32
/// and rounded once, at the end; in BF16 mode the products are bf16 work and all else stays float32.
/// Beyond a row's length Y is zero; a row of length 0 ends in zeros.
///
/// Complexity: 2·steps·batch·3·H·(input + H) floating-point operations per direction; scratch for
/// steps·batch·3·H elements. Source: ONNX GRU-22.
package struct GRU: SharingOperator {
  package static let schema = OperatorSchema(
    name: "GRU", inputs: ["X", "W", "R", "B", "sequence_lens", "initial_h"], requiredInputs: 3,
    outputs: ["Y", "Y_h"],
    attributes: RecurrentAttributes.descriptions.merging([
      "linear_before_reset": "Whether the reset gate meets the state after its product (0)."
    ]) { first, _ in first })

  package let work: RecurrentLayers

  package init(_ node: OperatorNode) throws(MartletError) {
    let resetsProduct = try node.attributes.bool("linear_before_reset", default: false)
    let attributes = try RecurrentAttributes(node.attributes, defaults: ["Sigmoid", "Tanh"])
    work = try RecurrentLayers(
      Self.schema, .gru(resetsProduct: resetsProduct), attributes, node)
  }
}
