import MartletBackends
import MartletCore

/// A layer of simple recurrence, forward, reverse or both, with clipping and rows of their own lengths:
/// h = f(x W + h R + Wb + Rb).
///
/// X [steps, batch, input], W [directions, H, input], R [directions, H, H], B [directions, 2·H],
/// sequence_lens [batch], initial_h [directions, batch, H]; Y [steps, directions, batch, H],
/// Y_h [directions, batch, H]. 16-bit floats are computed in float32 and rounded once, at the end; in
/// BF16 mode the products are bf16 work and all else stays float32. Beyond a row's length Y is zero; a
/// row of length 0 ends in zeros.
///
/// Complexity: 2·steps·batch·H·(input + H) floating-point operations per direction; scratch for
/// steps·batch·H elements. Source: ONNX RNN-22.
package struct RNN: SharingOperator {
  package static let schema = OperatorSchema(
    name: "RNN", inputs: ["X", "W", "R", "B", "sequence_lens", "initial_h"], requiredInputs: 3,
    outputs: ["Y", "Y_h"], attributes: RecurrentAttributes.descriptions)

  package let work: RecurrentLayers

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = try RecurrentAttributes(
      node.attributes, defaults: ["Tanh"], isLenient: true)
    work = try RecurrentLayers(Self.schema, .simple, attributes, node)
  }
}
