import MartletBackends
import MartletCore

/// Scale and zero point of QuantizeLinear and DequantizeLinear: one for the whole tensor, one per
/// index along an axis, or one per block along an axis.
///
/// Source: ONNX QuantizeLinear-28 and DequantizeLinear-28.
struct QuantizationParameters {
  static let attributes = [
    "axis": "The axis of the scale's entries, or of the blocks (1).",
    "block_size": "Elements along the axis that share a scale; 0: not in blocks (0).",
    "output_dtype": "The output's dtype as ONNX numbers it; 0: that of another input (0).",
  ]

  let operatorName: String
  let axis: Int
  let blockSize: Int
  let outputType: DType?

  init(_ attributes: Attributes) throws(MartletError) {
    operatorName = attributes.operatorName
    axis = try attributes.int("axis", default: 1)
    blockSize = try attributes.int("block_size", default: 0)
    let number = try attributes.int("output_dtype", default: 0)
    outputType =
      number == 0
      ? nil
      : try .fromONNX(
        number, operatorName: attributes.operatorName, attribute: "output_dtype",
        permitsNarrow: true)
    guard blockSize >= 0 else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): block_size is \(blockSize)",
        operatorName: attributes.operatorName, input: "block_size", expected: ">= 0",
        actual: "\(blockSize)")
    }
  }

  /// How scale's entries lie along a contiguous tensor of this shape; `scales` and `zeros` are the
  /// entries, contiguous, and are kept alive by the caller.
  func resolve(
    _ shape: [Int], scale: Tensor, zero: Tensor?, scales: Tensor, zeros: Tensor?
  ) throws(MartletError) -> Quantizing.Parameters {
    if let zero, zero.shape != scale.shape, zero.count != 1 || scale.count != 1 {
      throw .shape(
        operatorName, "the zero point's shape", expected: Shape.text(scale.shape),
        actual: Shape.text(zero.shape), input: "zero_point")
    }
    let (outer, extent, inner) = try split(shape, isUniform: scale.count == 1 && blockSize == 0)
    var parameters = Quantizing.Parameters(
      scales: UnsafePointer(scales.typed(Float.self)),
      zeros: zeros.map { UnsafePointer($0.typed(Int32.self)) }, outer: outer, axis: extent,
      inner: inner)
    if blockSize > 0 {
      var expected = shape
      let position = axis < 0 ? axis + shape.count : axis
      expected[position] = extent == 0 ? 0 : 1 + (extent - 1) / blockSize
      guard scale.shape == expected else { throw scaleError(expected, scale) }
      parameters.block = blockSize
      parameters.outerStep = expected[position] * inner
      parameters.axisStep = inner
      parameters.innerStep = inner == 1 ? 0 : 1
    } else if scale.count != 1 {
      guard scale.shape == [extent] else { throw scaleError([extent], scale) }
      parameters.axisStep = 1
    }
    return parameters
  }

  /// The tensor's extents before, along and after the axis.
  private func split(
    _ shape: [Int], isUniform: Bool
  ) throws(MartletError) -> (outer: Int, extent: Int, inner: Int) {
    if isUniform { return (1, 1, shape.reduce(1, *)) }
    let position = try Shape.normalizedAxis(axis, rank: shape.count, operatorName: operatorName)
    return (
      shape[..<position].reduce(1, *), shape[position], shape[(position + 1)...].reduce(1, *)
    )
  }

  private func scaleError(_ expected: [Int], _ scale: Tensor) -> MartletError {
    .shape(
      operatorName, "the scale's shape", expected: "one element or \(Shape.text(expected))",
      actual: Shape.text(scale.shape), input: "scale")
  }
}

extension QuantizationParameters {
  /// The zero points of an integer type as int32; nil where there are none.
  func integerZeros(_ zero: Tensor?, _ context: RunContext) throws(MartletError) -> Tensor? {
    guard let zero else { return nil }
    return try context.dense(zero, .int32)
  }

  /// The zero points of a narrow float type as float32; nil where there are none.
  ///
  /// Throws `unsupported` for one of a float of 8 bits that is not 0: ONNX gives it no meaning.
  func floatZeros(_ zero: Tensor?, _ context: RunContext) throws(MartletError) -> Tensor? {
    guard let zero else { return nil }
    let zeros = try context.dense(zero, .float32)
    guard zero.dtype.bitWidth == 8 else { return zeros }
    for index in 0..<zeros.count where zeros.typed(Float.self)[index] != 0 {
      throw MartletError(
        .unsupported, "\(operatorName): a zero point of \(zero.dtype) must be 0",
        operatorName: operatorName, input: "zero_point", expected: "0",
        actual: "\(zeros.typed(Float.self)[index])")
    }
    return nil
  }
}

extension RunContext {
  /// `tensor` as contiguous elements of `dtype`.
  func dense(_ tensor: Tensor, _ dtype: DType) throws(MartletError) -> Tensor {
    try contiguous(try converted(tensor, to: dtype))
  }
}
