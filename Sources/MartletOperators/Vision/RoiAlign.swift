import MartletBackends
import MartletCore

/// Regions of X [N, C, H, W] on a grid of bins: Y [regions, C, output_height, output_width].
///
/// rois [regions, 4] are x1, y1, x2, y2 of X's type; batch_indices names each region's image. 16-bit
/// floats compute in float32. Source: ONNX RoiAlign-22.
package struct RoiAlign: Operator {
  package static let schema = OperatorSchema(
    name: "RoiAlign", inputs: ["X", "rois", "batch_indices"], outputs: ["Y"],
    attributes: [
      "coordinate_transformation_mode":
        "half_pixel, or output_half_pixel: no shift, and regions of an element at least; half_pixel",
      "mode": "avg or max; avg", "output_height": "bins down, 1", "output_width": "bins across, 1",
      "sampling_ratio": "samples of a bin along each axis, 0: as many as it has elements; 0",
      "spatial_scale": "what coordinates are multiplied by, 1",
    ])
  private let isHalfPixel: Bool
  private let isMax: Bool
  private let extents: [Int]
  private let samplingRatio: Int
  private let spatialScale: Float

  package init(_ node: OperatorNode) throws(MartletError) {
    let coordinates = try node.attributes.string(
      "coordinate_transformation_mode", default: "half_pixel")
    guard coordinates == "half_pixel" || coordinates == "output_half_pixel" else {
      throw Self.error(
        "coordinate_transformation_mode", coordinates, "half_pixel or output_half_pixel")
    }
    isHalfPixel = coordinates == "half_pixel"
    let mode = try node.attributes.string("mode", default: "avg")
    guard mode == "avg" || mode == "max" else { throw Self.error("mode", mode, "avg or max") }
    isMax = mode == "max"
    extents = [
      try Self.number(node.attributes, "output_height", 1, 1...1 << 30),
      try Self.number(node.attributes, "output_width", 1, 1...1 << 30),
    ]
    samplingRatio = try Self.number(node.attributes, "sampling_ratio", 0, 0...1 << 12)
    spatialScale = try node.attributes.float("spatial_scale", default: 1)
  }

  private static func number(
    _ attributes: Attributes, _ name: String, _ fallback: Int, _ range: ClosedRange<Int>
  ) throws(MartletError) -> Int {
    let value = try attributes.int(name, default: fallback)
    guard range.contains(value) else {
      throw error(name, "\(value)", "\(range.lowerBound)...\(range.upperBound)")
    }
    return value
  }

  private static func error(_ attribute: String, _ value: String, _ expected: String)
    -> MartletError
  {
    MartletError(
      .invalidArgument, "RoiAlign: \(attribute) is \(value), expected \(expected)",
      operatorName: "RoiAlign", input: attribute, expected: expected, actual: value)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let x = inputs.type(0)
    var shape = [.unknown, .unknown] + extents.map { Dimension.known($0) }
    if let rank = x?.shape?.count, rank != 4 { throw rankError("X", "4", rank) }
    if let channels = x?.shape?[1] { shape[1] = channels }
    if let regions = inputs.type(2)?.shape, regions.count == 1 { shape[0] = regions[0] }
    return [ValueType(dtype: x?.dtype, shape: shape)]
  }

  private func rankError(_ input: String, _ expected: String, _ actual: Int) -> MartletError {
    .shape("RoiAlign", "rank of \(input)", expected: expected, actual: "\(actual)", input: input)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    let rois = try inputs.required(1, like: x.dtype)
    let indices = try inputs.required(2, like: .int64)
    guard x.rank == 4 else { throw rankError("X", "4", x.rank) }
    guard indices.rank == 1 else { throw rankError("batch_indices", "1", indices.rank) }
    guard rois.shape == [indices.count, 4] else {
      throw .shape(
        "RoiAlign", "rois", expected: "[\(indices.count), 4]", actual: Shape.text(rois.shape),
        input: "rois")
    }
    let images = try inputs.integers(2, context)
    for image in images where image < 0 || image >= x.shape[0] {
      throw MartletError(
        .invalidArgument, "RoiAlign: batch_indices names image \(image) of \(x.shape[0])",
        operatorName: "RoiAlign", input: "batch_indices", expected: "0..<\(x.shape[0])",
        actual: "\(image)")
    }
    let shape = [images.count, x.shape[1]] + extents
    let type = x.dtype.computeType
    let output =
      try type == x.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    if output.count > 0 {
      guard x.count > 0 else {
        throw .shape(
          "RoiAlign", "X has planes without elements", expected: "extents >= 1",
          actual: Shape.text(x.shape), input: "X")
      }
      // Each thread lists a region's bins, and the samples of those.
      let listed = extents.reduce(0, +).multipliedReportingOverflow(
        by: 3 * max(samplingRatio, 1) * min(context.pool.threadCount, images.count))
      try context.checkRoom(listed.overflow ? .max : listed.partialValue, "RoiAlign")
      let alignment = RegionAlignment(
        channels: x.shape[1], height: x.shape[2], width: x.shape[3], pooledHeight: extents[0],
        pooledWidth: extents[1], samplingRatio: samplingRatio, spatialScale: spatialScale,
        isHalfPixel: isHalfPixel, isMax: isMax)
      alignment.run(
        src: try context.contiguous(try context.converted(x, to: type)),
        regions: try context.contiguous(try context.converted(rois, to: type)), images: images,
        dst: output, pool: context.pool)
    }
    context.deliver(try context.finish(output, as: x.dtype))
  }
}
