import MartletBackends
import MartletCore

/// Sampling grids [N, H, W, 2] or [N, D, H, W, 3] from affine matrices theta [N, 2, 3] or [N, 3, 4].
///
/// Computed in float64 and rounded once. Along an axis of one element, with align_corners, the place is
/// 0, where the formula divides by 0. Source: ONNX AffineGrid-20.
package struct AffineGrid: Operator {
  package static let schema = OperatorSchema(
    name: "AffineGrid", inputs: ["theta", "size"], outputs: ["grid"],
    attributes: [
      "align_corners":
        "whether -1 and 1 are the centres of the outermost elements, 0: their edges; 0"
    ])
  private let alignsCorners: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    alignsCorners = try node.attributes.bool("align_corners", default: false)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let theta = inputs.type(0)
    if let size = inputs.type(1)?.knownElements {
      try check(size.count)
      let shape = [size[0]] + size[2...] + [.known(size.count - 2)]
      return [ValueType(dtype: theta?.dtype, shape: Inference.shape(from: shape))]
    }
    guard let rank = Inference.unknownShape(of: inputs.type(1))?.count else {
      return [.unknown(theta?.dtype)]
    }
    try check(rank)
    let shape = Inference.unknownShape(rank: rank - 1) + [.known(rank - 2)]
    return [ValueType(dtype: theta?.dtype, shape: shape)]
  }

  private func check(_ count: Int) throws(MartletError) {
    guard count == 4 || count == 5 else {
      throw .shape(
        "AffineGrid", "size", expected: "4 or 5 extents", actual: "\(count)", input: "size")
    }
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let theta = try inputs.float(0)
    _ = try inputs.required(1, like: .int64)
    let size = try inputs.integers(1)
    try check(size.count)
    let axes = size.count - 2
    guard theta.shape == [size[0], axes, axes + 1] else {
      throw .shape(
        "AffineGrid", "theta", expected: Shape.text([size[0], axes, axes + 1]),
        actual: Shape.text(theta.shape), input: "theta")
    }
    let extents = Array(size[2...])
    let shape = [size[0]] + extents + [axes]
    let type = theta.dtype.computeType
    let output =
      try type == theta.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    AffinePlaces.write(
      matrices: try context.contiguous(try context.converted(theta, to: .float64)),
      extents: extents, alignsCorners: alignsCorners, into: output, pool: context.pool)
    context.deliver(try context.finish(output, as: theta.dtype))
  }
}
