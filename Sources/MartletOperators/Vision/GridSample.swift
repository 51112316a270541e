import MartletBackends
import MartletCore

/// X [N, C, in...] read at the places of grid [N, out..., axes], over one to three axes: Y [N, C, out...].
///
/// The grid's coordinates run from -1 to 1, the last axis of X first. 16-bit floats compute in float32,
/// integers and bool in float64, truncated (saturated) at the end; nearest moves any number.
/// Source: ONNX GridSample-22.
package struct GridSample: Operator {
  package static let schema = OperatorSchema(
    name: "GridSample", inputs: ["X", "grid"], outputs: ["Y"],
    attributes: [
      "align_corners":
        "whether -1 and 1 are the centres of the outermost elements, 0: their edges; 0",
      "mode": "nearest, linear or cubic; linear",
      "padding_mode": "what is read outside: zeros, border or reflection; zeros",
    ])
  private let mode: GridSampling.Mode
  private let padding: GridSampling.Padding
  private let alignsCorners: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    alignsCorners = try node.attributes.bool("align_corners", default: false)
    switch try node.attributes.string("mode", default: "linear") {
    case "linear": mode = .linear
    case "nearest": mode = .nearest
    case "cubic": mode = .cubic
    case let other: throw Self.unknown("mode", other, "nearest, linear or cubic")
    }
    switch try node.attributes.string("padding_mode", default: "zeros") {
    case "zeros": padding = .zeros
    case "border": padding = .border
    case "reflection": padding = .reflection
    case let other: throw Self.unknown("padding_mode", other, "zeros, border or reflection")
    }
  }

  private static func unknown(_ attribute: String, _ value: String, _ expected: String)
    -> MartletError
  {
    MartletError(
      .invalidArgument, "GridSample: unknown \(attribute) '\(value)'", operatorName: "GridSample",
      input: attribute, expected: expected, actual: value)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let x = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    try checkRank(x.count)
    var shape = Array(x[..<2]) + Inference.unknownShape(rank: x.count - 2)
    if let grid = inputs.type(1)?.shape {
      try checkRank(x.count, grid: grid.count)
      shape = Array(x[..<2] + grid[1..<(grid.count - 1)])
    }
    return [ValueType(dtype: dtype, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0)
    let grid = try inputs.float(1)
    try checkRank(x.rank)
    try checkRank(x.rank, grid: grid.rank)
    let axes = x.rank - 2
    guard grid.shape[0] == x.shape[0], grid.shape[axes + 1] == axes else {
      throw .shape(
        "GridSample", "grid",
        expected: "[\(x.shape[0])" + String(repeating: ", ...", count: axes) + ", \(axes)]",
        actual: Shape.text(grid.shape), input: "grid")
    }
    let shape = Array(x.shape[..<2] + grid.shape[1...axes])
    if try Shape.byteCount(shape, .float64) == 0 {
      return context.deliver(try context.output(0, x.dtype, shape))
    }
    if x.count == 0 {
      // Planes without elements: everything is outside, and only zeros are nowhere.
      guard padding == .zeros else {
        throw .shape(
          "GridSample", "X has planes without elements", expected: "extents >= 1",
          actual: Shape.text(x.shape), input: "X")
      }
      let output = try context.output(0, x.dtype, shape)
      Copying.zero(output)
      return context.deliver(output)
    }
    let isMoved = mode == .nearest
    let isReal = x.dtype.isFloatingPoint
    let type =
      isMoved ? x.dtype : isReal ? x.dtype.computeType : DType.float64
    let source = try context.contiguous(try context.converted(x, to: type))
    let places = try context.contiguous(
      try context.converted(grid, to: grid.dtype.computeType))
    let output =
      try type == x.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    let sampling = GridSampling(
      batch: x.shape[0], channels: x.shape[1], input: Array(x.shape[2...]),
      points: shape[2...].reduce(1, *), mode: mode, padding: padding,
      alignsCorners: alignsCorners)
    try sampling.run(src: source, grid: places, dst: output, pool: context.pool)
    if !isMoved && !isReal { Resampling.settle(output, as: x.dtype) }
    context.deliver(try context.finish(output, as: x.dtype))
  }

  private func checkRank(_ rank: Int) throws(MartletError) {
    guard rank >= 3 else {
      throw .shape(
        "GridSample", "rank of X", expected: "at least 3", actual: "\(rank)", input: "X")
    }
    guard rank <= 5 else {
      throw MartletError(
        .unsupported, "GridSample: \(rank - 2) spatial axes", operatorName: "GridSample",
        input: "X", expected: "1 to 3 spatial axes", actual: "\(rank - 2)")
    }
  }

  private func checkRank(_ x: Int, grid: Int) throws(MartletError) {
    guard grid == x else {
      throw .shape(
        "GridSample", "rank of grid", expected: "X's, \(x)", actual: "\(grid)", input: "grid")
    }
  }
}
