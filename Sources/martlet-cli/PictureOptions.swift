import ArgumentParser
import MartletCore
import MartletGraph
import MartletOperators
import MartletRuntime

/// How pictures become inputs: (pixel * scale - mean) / std, in the size that the model takes.
struct PictureOptions: ParsableArguments {
  @Option(
    name: .customLong("image"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "An input from a picture: JPEG, PNG, WebP, TIFF, BMP, PNM; repeated, they are a batch.",
      valueName: "name=picture"))
  var images: [String] = []
  @Option(
    help: ArgumentHelp("The size that pictures get; the model's by default.", valueName: "HxW"))
  var size: String?
  @Option(help: "How they get it: stretched, or cut where they are too long.")
  var fit = Fit.stretch
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Subtracted, for each channel.", valueName: "r,g,b"))
  var mean: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Divided by, for each channel.", valueName: "r,g,b"))
  var std: String?
  @Option(help: "What pixels of 0 to 255 are multiplied by first; 1/255 by default.")
  var scale: Double?
  @Option(help: "The order of channels; gray by default where the model takes one, else rgb.")
  var channels: Channels?
  @Option(help: "Where channels stand, nchw or nhwc; by default where the model has 1 or 3.")
  var layout: Layout?

  enum Fit: String, ExpressibleByArgument, CaseIterable { case stretch, crop }
  enum Channels: String, ExpressibleByArgument, CaseIterable { case rgb, bgr, gray }
  enum Layout: String, ExpressibleByArgument, CaseIterable { case nchw, nhwc }

  func validate() throws {
    _ = try wantedSize()
    for (name, text) in [("mean", mean), ("std", std)] { _ = try numbers(text, name) }
    if try numbers(std, "std")?.contains(0) == true {
      throw ValidationError("--std must not be 0")
    }
  }

  private func wantedSize() throws -> (height: Int, width: Int)? {
    guard let size else { return nil }
    let parts = size.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard let height = parts.first, let width = parts.last, parts.count <= 2, height > 0, width > 0,
      height <= 1 << 16, width <= 1 << 16
    else { throw ValidationError("--size \(size): expected HxW or one number, up to 65536") }
    return (height, width)
  }

  private func numbers(_ text: String?, _ name: String) throws -> [Double]? {
    guard let text else { return nil }
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    guard numbers.count == 1 || numbers.count == 3, !numbers.contains(where: { $0 == nil }) else {
      throw ValidationError("--\(name) \(text): expected one number, or three between commas")
    }
    return numbers.compactMap { $0 }
  }

  // MARK: - Reading

  /// A picture as an input takes it, without the axis of the batch.
  ///
  /// Throws `io` and `notFound`; `invalidModel` for what is no whole picture; `invalidShape` for an input
  /// that is none; `unsupported` where the system lacks the library for it.
  func read(_ path: String, for port: Model.Port) throws(MartletError) -> Tensor {
    let target = try Target(port, layout)
    let file = try OpenFile(reading: path)
    let bytes = try file.rest()
    let stream = try Tensor(storage: bytes, dtype: .uint8, shape: [file.byteCount])
    let isGray = channels.map { $0 == .gray } ?? (target.channels == 1)
    let order = isGray ? "Grayscale" : channels == .bgr ? "BGR" : "RGB"
    var pixels: Tensor
    do throws(MartletError) {
      pixels = try Tensor.computed("ImageDecoder", [stream], ["pixel_format": .string(order)])
    } catch {
      var error = error
      error.message = "\(file.name): \(error.message)"
      throw error
    }
    guard pixels.count > 0 else {
      throw MartletError(
        .invalidModel, "\(file.name) is not a picture that can be read, or it is damaged",
        expected: "JPEG, PNG, WebP, TIFF, BMP or PNM")
    }
    if let channels = target.channels, channels != pixels.shape[2] {
      throw MartletError(
        .invalidShape,
        "input '\(port.name)' has \(channels) channels, a picture in \(order) has \(pixels.shape[2])",
        input: port.name, expected: "\(channels) channels", actual: "\(pixels.shape[2])")
    }
    pixels = try resized(try pixels.cast(to: .float32), target)
    try scale(pixels, for: port)
    if target.layout == .nchw { pixels = try pixels.permuted([2, 0, 1]).copied() }
    guard let dtype = port.dtype, dtype != .float32 else { return pixels }
    if !dtype.isFloatingPoint {
      pixels = try Tensor.computed("Round", [pixels])
    }
    return try pixels.cast(to: dtype)
  }

  /// What an input says of pictures.
  private struct Target {
    let layout: Layout
    var channels: Int?
    var height: Int?
    var width: Int?

    init(_ port: Model.Port, _ wanted: Layout?) throws(MartletError) {
      guard let shape = port.shape else {
        layout = wanted ?? .nchw
        return
      }
      guard port.dtype != .string, shape.count == 3 || shape.count == 4 else {
        throw MartletError(
          .invalidShape,
          "input '\(port.name)' is \(port.kind.text): a picture has 4 axes, or 3 without a batch",
          input: port.name, expected: "4 axes", actual: "\(shape.count)")
      }
      let extents = shape.suffix(3).map { dimension in
        if case .known(let extent) = dimension { extent } else { Int?.none }
      }
      let (first, last) = (extents[0], extents[2])
      let isLast = (last == 1 || last == 3) && first != 1 && first != 3
      layout = wanted ?? (isLast ? .nhwc : .nchw)
      channels = layout == .nchw ? first : last
      (height, width) = layout == .nchw ? (extents[1], last) : (first, extents[1])
    }
  }

  private func resized(_ pixels: Tensor, _ target: Target) throws(MartletError) -> Tensor {
    // Checked by `validate`.
    let wanted = (try? wantedSize()).flatMap { $0 }
    let height = wanted?.height ?? target.height ?? pixels.shape[0]
    let width = wanted?.width ?? target.width ?? pixels.shape[1]
    if pixels.shape[0] == height, pixels.shape[1] == width { return pixels }
    // As torchvision resizes the shorter side, and Pillow weighs what lies at edges.
    var extents = (height: height, width: width)
    if fit == .crop {
      if height * pixels.shape[1] >= width * pixels.shape[0] {
        extents.width = max(width, height * pixels.shape[1] / pixels.shape[0])
      } else {
        extents.height = max(height, width * pixels.shape[0] / pixels.shape[1])
      }
    }
    let sizes = try Tensor(uninitialized: .int64, [2])
    sizes.typed(Int64.self)[0] = Int64(extents.height)
    sizes.typed(Int64.self)[1] = Int64(extents.width)
    var result = try Tensor.computed(
      "Resize", [pixels, nil, nil, sizes],
      [
        "mode": .string("linear"), "antialias": .int(1), "exclude_outside": .int(1),
        "axes": .ints([0, 1]),
      ])
    for (axis, extent) in [height, width].enumerated() where result.shape[axis] > extent {
      let margin = (Double(result.shape[axis] - extent) / 2).rounded(.toNearestOrEven)
      result = result.sliced(axis: axis, start: Int(margin), count: extent, step: 1)
    }
    return try result.copied()
  }

  /// (pixel * scale - mean) / std in place, in double; pixels as they are for an input of integers.
  private func scale(_ pixels: Tensor, for port: Model.Port) throws(MartletError) {
    let isPlain = mean == nil && std == nil && scale == nil
    if let dtype = port.dtype, !dtype.isFloatingPoint {
      guard isPlain else {
        throw MartletError(
          .invalidArgument,
          "input '\(port.name)' is \(dtype), which takes pixels as they are: no --mean, --std or --scale",
          input: port.name, expected: "neither of them", actual: "\(dtype)")
      }
      return
    }
    let factor = scale ?? 1 / 255
    let means = (try? numbers(mean, "mean")).flatMap { $0 } ?? [0]
    let deviations = (try? numbers(std, "std")).flatMap { $0 } ?? [1]
    let channels = pixels.shape[2]
    for (what, list) in [("mean", means), ("std", deviations)]
    where list.count > 1 && list.count != channels {
      throw MartletError(
        .invalidArgument, "--\(what) has \(list.count) numbers for \(channels) channels",
        expected: "\(channels) numbers, or one", actual: "\(list.count)")
    }
    let elements = pixels.typed(Float.self)
    for index in 0..<pixels.count {
      let channel = index % channels
      elements[index] = Float(
        (Double(elements[index]) * factor - means[min(channel, means.count - 1)])
          / deviations[min(channel, deviations.count - 1)])
    }
  }

  /// Pictures of one size as one input.
  func batch(_ pictures: [Tensor], for port: Model.Port) throws(MartletError) -> Tensor {
    let hasBatch = port.shape.map { $0.count == 4 } ?? true
    if !hasBatch, pictures.count == 1 { return pictures[0] }
    if let other = pictures.first(where: { $0.shape != pictures[0].shape }) {
      throw MartletError(
        .invalidShape,
        "pictures of \(Shape.text(pictures[0].shape)) and \(Shape.text(other.shape)) are no batch: give --size",
        input: port.name, expected: Shape.text(pictures[0].shape), actual: Shape.text(other.shape))
    }
    var parts: [Tensor] = []
    for picture in pictures { parts.append(try picture.reshaped([1] + picture.shape)) }
    if parts.count == 1 { return parts[0] }
    return try Tensor.computed("Concat", parts, ["axis": .int(0)])
  }
}
