import MartletBackends
import MartletCore

/// Images [N, C, image_shape] from columns of blocks [N, C * block, blocks]: elements that fall on one place
/// are added, in the order of their taps.
///
/// Any number of axes. 16-bit floats are added in float32, integers wrap, of bool any counts. Source:
/// ONNX Col2Im-18.
package struct Col2Im: Operator {
  package static let schema = OperatorSchema(
    name: "Col2Im", inputs: ["input", "image_shape", "block_shape"],
    attributes: SlidingWindow.attributes.filter {
      ["dilations", "pads", "strides"].contains($0.key)
    })
  private let strides: [Int]?
  private let dilations: [Int]?
  private let pads: [Int]?

  package init(_ node: OperatorNode) throws(MartletError) {
    strides = try SlidingWindow.list(node.attributes, "strides", atLeast: 1)
    dilations = try SlidingWindow.list(node.attributes, "dilations", atLeast: 1)
    pads = try SlidingWindow.list(node.attributes, "pads", atLeast: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let input = inputs.type(0)
    guard let image = inputs.type(1)?.knownElements else {
      return [ValueType(dtype: input?.dtype, shape: nil)]
    }
    var channels = Dimension.unknown
    if let rows = input?.shape, rows.count == 3, let block = inputs.type(2)?.knownIntegers {
      channels = Inference.exactQuotient(rows[1], Inference.product(block.map { .known($0) }))
    }
    let shape = [input?.shape?.first ?? .unknown, channels] + image
    return [ValueType(dtype: input?.dtype, shape: Inference.shape(from: shape))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    let (image, block) = (try inputs.integers(1), try inputs.integers(2))
    guard input.rank == 3 else {
      throw .shape(
        "Col2Im", "rank of input", expected: "3", actual: "\(input.rank)", input: "input")
    }
    guard !image.isEmpty, image.count + 2 <= Shape.maximumRank, block.count == image.count else {
      throw .shape(
        "Col2Im", "block_shape", expected: "\(image.count) extents, at least one",
        actual: "\(block.count)", input: "block_shape")
    }
    guard block.allSatisfy({ (1...1 << 30).contains($0) }),
      image.allSatisfy({ (0...1 << 40).contains($0) })
    else {
      throw .shape(
        "Col2Im", "extents", expected: "blocks >= 1, images >= 0",
        actual: "\(Shape.text(block)) and \(Shape.text(image))", input: "block_shape")
    }
    let ones = image.map { _ in 1 }
    let columns = ImageColumns(
      image: image, block: block, strides: try list(strides, ones, "strides"),
      dilations: try list(dilations, ones, "dilations"),
      begin: Array(
        try list(pads, image.map { _ in 0 } + image.map { _ in 0 }, "pads")
          .prefix(image.count)), blocks: try blocks(image, block))
    let (taps, places) = (
      try Shape.elementCount(block), try Shape.elementCount(columns.blocks)
    )
    guard input.shape[1] % taps == 0, input.shape[2] == places else {
      throw .shape(
        "Col2Im", "input for \(Shape.text(columns.blocks)) blocks of \(Shape.text(block))",
        expected: "[N, C * \(taps), \(places)]", actual: Shape.text(input.shape),
        input: "input")
    }
    let shape = [input.shape[0], input.shape[1] / taps] + image
    let type: DType = input.dtype == .bool ? .int32 : input.dtype.computeType
    let source = try context.contiguous(try context.converted(input, to: type))
    let output =
      try type == input.dtype ? context.output(0, type, shape) : context.scratch(type, shape)
    Copying.zero(output)
    if source.count > 0, output.count > 0 {
      columns.add(source, into: output, planes: shape[0] * shape[1], pool: context.pool)
    }
    context.deliver(try context.finish(output, as: input.dtype))
  }

  private func list(
    _ values: [Int]?, _ fallback: [Int], _ name: String
  ) throws(MartletError) -> [Int] {
    guard let values, !values.isEmpty else { return fallback }
    guard values.count == fallback.count else {
      throw MartletError(
        .invalidArgument, "Col2Im: \(name) has \(values.count) values",
        operatorName: "Col2Im", input: name, expected: "\(fallback.count) values",
        actual: "\(values.count)")
    }
    return values
  }

  /// Blocks along each axis.
  private func blocks(_ image: [Int], _ block: [Int]) throws(MartletError) -> [Int] {
    let ones = image.map { _ in 1 }
    let (steps, apart) = (
      try list(strides, ones, "strides"), try list(dilations, ones, "dilations")
    )
    let around = try list(pads, image.map { _ in 0 } + image.map { _ in 0 }, "pads")
    var result: [Int] = []
    for axis in image.indices {
      let reach = (block[axis] - 1) * apart[axis] + 1
      let room = image[axis] + around[axis] + around[axis + image.count] - reach
      guard room >= 0 else {
        throw .shape(
          "Col2Im", "the block exceeds the padded image along axis \(axis)",
          expected: "at most \(room + reach)", actual: "\(reach)", input: "block_shape")
      }
      result.append(room / steps[axis] + 1)
    }
    return result
  }
}
