import MartletBackends
import MartletCore

/// The maximum of each bin of regions of X [N, C, H, W]: Y [regions, C, pooled_shape].
///
/// rois [regions, 5] are an image and x1, y1, x2, y2 of whole elements, both ends included. Bins that
/// have no element are 0. Source: ONNX MaxRoiPool-22, and Caffe's ROIPooling for what it leaves open.
package struct MaxRoiPool: Operator {
  package static let schema = OperatorSchema(
    name: "MaxRoiPool", inputs: ["X", "rois"], outputs: ["Y"],
    attributes: [
      "pooled_shape": "bins down and across",
      "spatial_scale": "what coordinates are multiplied by, 1",
    ])
  private let pooled: [Int]
  private let spatialScale: Float

  package init(_ node: OperatorNode) throws(MartletError) {
    spatialScale = try node.attributes.float("spatial_scale", default: 1)
    pooled = try node.attributes.optionalInts("pooled_shape") ?? []
    guard pooled.count == 2, pooled.allSatisfy({ (1...1 << 30).contains($0) }) else {
      throw MartletError(
        .invalidArgument, "MaxRoiPool: pooled_shape is \(Shape.text(pooled))",
        operatorName: "MaxRoiPool", input: "pooled_shape", expected: "two extents >= 1",
        actual: Shape.text(pooled))
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let x = inputs.type(0)
    var shape = [.unknown, .unknown] + pooled.map { Dimension.known($0) }
    if let rank = x?.shape?.count, rank != 4 { throw rankError(rank) }
    if let channels = x?.shape?[1] { shape[1] = channels }
    if let regions = inputs.type(1)?.shape, regions.count == 2 { shape[0] = regions[0] }
    return [ValueType(dtype: x?.dtype, shape: shape)]
  }

  private func rankError(_ rank: Int) -> MartletError {
    .shape("MaxRoiPool", "rank of X", expected: "4", actual: "\(rank)", input: "X")
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    let rois = try inputs.required(1, like: x.dtype)
    guard x.rank == 4 else { throw rankError(x.rank) }
    guard rois.rank == 2, rois.shape[1] == 5 else {
      throw .shape(
        "MaxRoiPool", "rois", expected: "[regions, 5]", actual: Shape.text(rois.shape),
        input: "rois")
    }
    let shape = [rois.shape[0], x.shape[1]] + pooled
    let type = x.dtype.computeType
    let output =
      try type == x.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    let regions = try context.contiguous(try context.converted(rois, to: .float64))
    let numbers = regions.typed(Double.self)
    for region in 0..<rois.shape[0] {
      let image = numbers[5 * region]
      guard image >= 0, image < Double(x.shape[0]) else {
        throw MartletError(
          .invalidArgument, "MaxRoiPool: region \(region) is of image \(image)",
          operatorName: "MaxRoiPool", input: "rois", expected: "0..<\(x.shape[0])",
          actual: "\(image)")
      }
    }
    if output.count > 0 {
      RegionMaximum(
        channels: x.shape[1], height: x.shape[2], width: x.shape[3], pooledHeight: pooled[0],
        pooledWidth: pooled[1], spatialScale: spatialScale
      ).run(
        src: try context.contiguous(try context.converted(x, to: type)), regions: regions,
        dst: output, pool: context.pool)
    }
    context.deliver(try context.finish(output, as: x.dtype))
  }
}
