import MartletBackends
import MartletCore

/// Boxes of images, each resampled to one size.
///
/// X [N, C, H, W] float32; rois [R, 4]: y1, x1, y2, x2 as parts of the image; batch_indices [R] int32;
/// crop_size int32: height and width. Sample i of n lies at y1 (H-1) + i (y2-y1) (H-1) / (n-1), a
/// single one in the middle; outside the image it is `extrapolation_value`. Nearest rounds half away
/// from zero. Source: com.microsoft CropAndResize of ONNX Runtime 1.32.
package struct CropAndResize: Operator {
  package static let schema = OperatorSchema(
    name: "CropAndResize", domain: OperatorID.microsoftDomain,
    inputs: ["X", "rois", "batch_indices", "crop_size"], outputs: ["Y"],
    attributes: [
      "extrapolation_value": "What stands outside the image (0).",
      "mode": "bilinear or nearest (bilinear).",
    ])

  private let isNearest: Bool
  private let outside: Float

  package init(_ node: OperatorNode) throws(MartletError) {
    let mode = try node.attributes.string("mode", default: "bilinear")
    guard mode == "bilinear" || mode == "nearest" else {
      throw MartletError(
        .invalidArgument, "\(Self.schema.name): mode is '\(mode)', expected bilinear or nearest",
        operatorName: Self.schema.name, input: "mode", expected: "bilinear or nearest",
        actual: mode)
    }
    isNearest = mode == "nearest"
    outside = try node.attributes.float("extrapolation_value", default: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var shape = Inference.unknownShape(rank: 4)
    if let x = inputs.type(0)?.shape, x.count == 4 { shape[1] = x[1] }
    if let rois = inputs.type(1)?.shape, rois.count == 2 { shape[0] = rois[0] }
    if let size = inputs.type(3)?.knownIntegers, size.count == 2, size.allSatisfy({ $0 >= 0 }) {
      shape[2] = .known(size[0])
      shape[3] = .known(size[1])
    }
    return [ValueType(dtype: .float32, shape: shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try context.contiguous(try inputs.required(0, like: .float32))
    let rois = try context.contiguous(try inputs.required(1, like: .float32))
    let indices = try inputs.required(2, like: .int32)
    func fault(_ index: Int, _ expected: String, _ tensor: Tensor) -> MartletError {
      .shape(
        Self.schema.name, inputs.name(index), expected: expected,
        actual: Shape.text(tensor.shape), input: inputs.name(index))
    }
    guard x.rank == 4 else { throw fault(0, "[N, C, H, W]", x) }
    guard rois.rank == 2, rois.shape[1] == 4 else { throw fault(1, "[R, 4]", rois) }
    guard indices.shape == [rois.shape[0]] else { throw fault(2, "[\(rois.shape[0])]", indices) }
    let size = try inputs.integers(3)
    guard size.count == 2, size.allSatisfy({ $0 > 0 }) else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): crop_size: expected two numbers above 0, got \(Shape.text(size))",
        operatorName: Self.schema.name, input: "crop_size", expected: "two numbers above 0",
        actual: Shape.text(size))
    }
    try context.checkRoom(indices.count, Self.schema.name)
    let images = SmallTensors.integers(indices)
    if let wrong = images.first(where: { !(0..<x.shape[0]).contains($0) }) {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): batch_indices: expected 0 ..< \(x.shape[0]), got \(wrong)",
        operatorName: Self.schema.name, input: "batch_indices", expected: "0 ..< \(x.shape[0])",
        actual: "\(wrong)")
    }
    let output = try context.output(0, .float32, [rois.shape[0], x.shape[1], size[0], size[1]])
    if output.count > 0 {
      try context.checkRoom(size[0], Self.schema.name)
      try context.checkRoom(size[1], Self.schema.name)
      Cropping(
        channels: x.shape[1], height: x.shape[2], width: x.shape[3], cropHeight: size[0],
        cropWidth: size[1], isNearest: isNearest, outside: outside
      ).run(
        UnsafePointer(x.typed(Float.self)), boxes: UnsafePointer(rois.typed(Float.self)),
        images: images, into: output.typed(Float.self), pool: context.pool)
    }
    context.deliver(output)
  }
}
