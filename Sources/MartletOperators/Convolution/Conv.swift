import MartletBackends
import MartletCore

/// Convolution over one to three spatial axes: X [N, C, ...], W [M, C / group, ...], B [M].
///
/// Complexity: 2·N·M·(C/group)·taps·pixels floating-point operations. Source: ONNX Conv-22.
package struct Conv: SharingOperator {
  package static let schema = OperatorSchema(
    name: "Conv", inputs: ["X", "W", "B"], requiredInputs: 2, outputs: ["Y"],
    attributes: FloatConvolution.attributes,
    traits: [.anyAddress(inputs: [1]), .epilogue(FusedConv.slots)])

  package let work: FloatConvolution

  package init(_ node: OperatorNode) throws(MartletError) {
    work = try FloatConvolution(node)
  }

}
