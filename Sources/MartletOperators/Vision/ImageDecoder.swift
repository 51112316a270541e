import MartletBackends
import MartletCore

/// The pixels of the picture in a file's bytes: uint8 [height, width, 3 or 1].
///
/// BMP and PNM are read here, PNG, JPEG, TIFF and WebP by libraries of the system, which are looked for
/// when a picture needs one: UNSUPPORTED names one that is missing. Palettes and inks become colours, 16
/// bits 8; transparency is dropped. What is no picture, or a damaged one, gives an image without
/// elements, as the specification has it. Source: ONNX ImageDecoder-20.
package struct ImageDecoder: Operator {
  package static let schema = OperatorSchema(
    name: "ImageDecoder", inputs: ["encoded_stream"], outputs: ["image"],
    attributes: ["pixel_format": "RGB, BGR or Grayscale; RGB"])
  private let order: PictureTarget.Order

  package init(_ node: OperatorNode) throws(MartletError) {
    switch try node.attributes.string("pixel_format", default: "RGB") {
    case "RGB": order = .rgb
    case "BGR": order = .bgr
    case "Grayscale": order = .gray
    case let other:
      throw MartletError(
        .invalidArgument, "ImageDecoder: unknown pixel_format '\(other)'",
        operatorName: "ImageDecoder", input: "pixel_format", expected: "RGB, BGR or Grayscale",
        actual: other)
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: .uint8, shape: [.unknown, .unknown, .known(order.channels)])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let stream = try inputs.required(0, like: .uint8)
    guard stream.rank == 1 else {
      throw .shape(
        "ImageDecoder", "rank of encoded_stream", expected: "1", actual: "\(stream.rank)",
        input: "encoded_stream")
    }
    let file = PictureFile(try context.contiguous(stream))
    guard let format = PictureFormat(of: file), let image = try read(file, format, context) else {
      return context.deliver(try context.output(0, .uint8, [0, 0, order.channels]))
    }
    context.deliver(image)
  }

  /// The most pixels of a picture.
  private static let mostPixels = 1 << 28

  /// nil: it is damaged.
  private func read(
    _ file: PictureFile, _ format: PictureFormat, _ context: RunContext
  ) throws(MartletError) -> Tensor? {
    if format == .bmp {
      guard let picture = BitmapPicture(file) else { return nil }
      let image = try made(picture.width, picture.height, context)
      picture.read(file, into: PictureTarget(image, order))
      return image
    }
    if format == .pnm {
      guard let picture = PortablePicture(file) else { return nil }
      let image = try made(picture.width, picture.height, context)
      return picture.read(file, into: PictureTarget(image, order)) ? image : nil
    }
    guard let library = format.library else {
      throw MartletError(
        .unsupported, "ImageDecoder: pictures in \(format.rawValue) are not read",
        operatorName: "ImageDecoder", input: "encoded_stream",
        expected: "BMP, PNM, PNG, JPEG, TIFF or WebP", actual: format.rawValue)
    }
    switch SystemPicture.extents(file, library.number) {
    case .damaged: return nil
    case .noLibrary:
      throw MartletError(
        .unsupported,
        "ImageDecoder: a picture in \(format.rawValue) needs a library of the system that is missing: \(library.name)",
        operatorName: "ImageDecoder", input: "encoded_stream", expected: library.name,
        actual: "nothing of that name")
    case .extents(let width, let height):
      let image = try made(width, height, context)
      let memory = try context.scratch(.uint8, [height, width, 4])
      let isRead = SystemPicture.read(
        file, library.number, width: width, height: height, memory: memory,
        into: PictureTarget(image, order))
      return isRead ? image : nil
    }
  }

  private func made(
    _ width: Int, _ height: Int, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, pixels <= Self.mostPixels else {
      throw MartletError(
        .unsupported, "ImageDecoder: a picture of \(width) x \(height) pixels",
        operatorName: "ImageDecoder", input: "encoded_stream",
        expected: "at most \(Self.mostPixels) pixels", actual: "\(width) x \(height)")
    }
    return try context.output(0, .uint8, [height, width, order.channels])
  }
}
