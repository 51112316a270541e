import MartletBackends
import MartletCore

/// Gather of integers of 2, 4 or 8 bits, dequantised in blocks along `quantize_axis`:
/// (data[index] - zero_points) * scales, computed in float32 and rounded once to the scales' type.
///
/// data: int4 or uint4 of any shape, or uint8, of which bytes hold 8 / bits elements of the last axis,
/// the first in the lowest bits; then gather_axis is 0. Indices count from the back where they are
/// negative; one out of range gives zeros. Without zero points 0 is 0, of uint8 data 2^(bits-1).
/// Source: com.microsoft GatherBlockQuantized of ONNX Runtime 1.32.
package struct GatherBlockQuantized: Operator {
  package static let schema = OperatorSchema(
    name: "GatherBlockQuantized", domain: OperatorID.microsoftDomain,
    inputs: ["data", "indices", "scales", "zero_points"], requiredInputs: 3,
    attributes: [
      "bits": "Bits of an element of uint8 data: 2, 4 or 8 (4).",
      "block_size": "Elements of a block: a power of two, 16 or more (128).",
      "gather_axis": "Along which slices are taken (0).",
      "quantize_axis": "Along which blocks lie (1).",
    ], traits: [.narrow(.carried)])

  private let bits: Int
  private let block: Int
  private let gatherAxis: Int
  private let quantizeAxis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    bits = try node.attributes.int("bits", default: 4)
    block = try node.attributes.int("block_size", default: 128)
    gatherAxis = try node.attributes.int("gather_axis", default: 0)
    quantizeAxis = try node.attributes.int("quantize_axis", default: 1)
    guard [2, 4, 8].contains(bits), block >= 16, block <= 1 << 30, block & (block - 1) == 0 else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): bits \(bits) and block_size \(block): expected 2, 4 or 8, and a power of two, 16 or more",
        operatorName: Self.schema.name, input: "block_size", actual: "\(bits), \(block)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(2)?.dtype
    guard let data = inputs.type(0), var shape = data.shape, let type = data.dtype,
      let indices = inputs.type(1)?.shape
    else { return [.unknown(dtype)] }
    let axis = try Shape.normalizedAxis(
      gatherAxis, rank: shape.count, operatorName: Self.schema.name)
    if type == .uint8 {
      shape[shape.count - 1] = Inference.times(shape[shape.count - 1], .known(8 / bits))
    }
    return [
      ValueType(dtype: dtype, shape: Array(shape[..<axis] + indices + shape[(axis + 1)...]))
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(
      0, { [.uint8, .int4, .uint4].contains($0) }, "uint8, int4 or uint4")
    let indices = try inputs.required(1, { $0 == .int64 || $0 == .int32 }, "int32 or int64")
    let scales = try inputs.float(2)
    var shape = data.shape
    let axis = try Shape.normalizedAxis(
      gatherAxis, rank: data.rank, operatorName: Self.schema.name)
    let blockAxis = try Shape.normalizedAxis(
      quantizeAxis, rank: data.rank, operatorName: Self.schema.name)
    let isBytes = data.dtype == .uint8
    if isBytes {
      guard axis == 0, data.rank > 1 || bits == 8 else {
        throw MartletError(
          .invalidArgument, "\(Self.schema.name): uint8 data are gathered along axis 0",
          operatorName: Self.schema.name, input: "gather_axis", expected: "0",
          actual: "\(gatherAxis)")
      }
      let (last, overflow) = shape[data.rank - 1].multipliedReportingOverflow(by: 8 / bits)
      guard !overflow else {
        throw .shape(
          Self.schema.name, "data", expected: "fewer elements", actual: Shape.text(shape))
      }
      shape[data.rank - 1] = last
    }
    _ = try Shape.byteCount(shape, .float64)
    var expected = shape
    expected[blockAxis] = shape[blockAxis] == 0 ? 0 : (shape[blockAxis] - 1) / block + 1
    guard scales.shape == expected else {
      throw .shape(
        Self.schema.name, "scales", expected: Shape.text(expected),
        actual: Shape.text(scales.shape), input: "scales")
    }
    let factors = try context.dense(scales, .float32)
    let zeros = try zeroPoints(inputs, data.dtype, expected, context)
    try context.checkRoom(indices.count, Self.schema.name)
    let picked = SmallTensors.integers(indices)
    let outputShape = Array(shape[..<axis] + indices.shape + shape[(axis + 1)...])
    let result =
      try scales.dtype == .float32
      ? context.output(0, .float32, outputShape) : context.scratch(.float32, outputShape)
    let source = try context.contiguous(data)
    let gathering = BlockGathering(
      shape: shape, axis: axis, blockAxis: blockAxis, block: block,
      blocks: expected[blockAxis],
      elements: source.pointer,
      dtype: isBytes
        ? (bits == 8 ? .uint8 : bits == 4 ? .uint4 : .uint2)
        : data.dtype,
      scales: UnsafePointer(factors.typed(Float.self)),
      zeros: zeros.map { UnsafePointer($0.typed(Int32.self)) },
      zero: isBytes ? 1 << (Int32(bits) - 1) : 0)
    gathering.run(picked, into: result.typed(Float.self), pool: context.pool)
    context.deliver(try context.finish(result, as: scales.dtype))
  }

  /// The zero points as int32 of the scales' shape.
  private func zeroPoints(
    _ inputs: Inputs, _ dtype: DType, _ shape: [Int], _ context: RunContext
  ) throws(MartletError) -> Tensor? {
    guard let zeros = try inputs.optional(3, like: dtype) else { return nil }
    let count = try Shape.elementCount(shape)
    func fault(_ expected: [Int]) -> MartletError {
      .shape(
        Self.schema.name, "zero_points", expected: Shape.text(expected),
        actual: Shape.text(zeros.shape), input: "zero_points")
    }
    guard dtype == .uint8, bits < 8 else {
      guard zeros.shape == shape else { throw fault(shape) }
      return try context.dense(zeros, .int32)
    }
    // Packed along the last axis, each row from a byte of its own on.
    let last = shape.last ?? 1
    let bytes = (last * bits + 7) / 8
    let packed = shape.dropLast() + [bytes]
    guard zeros.shape == Array(packed) else { throw fault(Array(packed)) }
    let source = try context.contiguous(zeros)
    let (from, wide) = (source.typed(UInt8.self), try context.scratch(.int32, shape))
    let to = wide.typed(Int32.self)
    for index in 0..<count {
      let (row, column) = index.quotientAndRemainder(dividingBy: last)
      let byte = from[row * bytes + column * bits / 8]
      to[index] = Int32(byte >> UInt8(column * bits % 8)) & Int32(1 << bits - 1)
    }
    return wide
  }
}
