import MartletBackends
import MartletCore

/// The discrete Fourier transform along an axis of input [..., 1] or [..., 2], real or complex numbers.
///
/// Computed in float64 whatever the dtype, with one rounding at the end. One-sided it gives the first
/// n / 2 + 1 numbers of a real signal's transform, and the way back takes those and gives n real ones,
/// without imaginary parts where a real signal's have none. Source: ONNX DFT-20.
package struct DFT: Operator {
  package static let schema = OperatorSchema(
    name: "DFT", inputs: ["input", "dft_length", "axis"], requiredInputs: 1,
    attributes: [
      "inverse": "whether it is the way back, which divides by the length; 0",
      "onesided": "whether the spectrum is that of real numbers, its first half; 0",
    ])
  private let isInverse: Bool
  private let isOneSided: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    isInverse = try node.attributes.bool("inverse", default: false)
    isOneSided = try node.attributes.bool("onesided", default: false)
  }

  private var kind: FourierTransform.Kind {
    isOneSided ? isInverse ? .real : .oneSided : .complex
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard var shape = inputs.type(0)?.shape, shape.count >= 2 else { return [.unknown(dtype)] }
    shape[shape.count - 1] = .known(kind == .real ? 1 : 2)
    var axis: Int? = shape.count - 2
    if inputs.type(2) != nil { axis = inputs.type(2)?.knownIntegers?.first }
    guard let given = axis else {
      let spatial = Inference.unknownShape(rank: shape.count - 1)
      return [ValueType(dtype: dtype, shape: spatial + shape.suffix(1))]
    }
    let place = try Self.normalized(given, rank: shape.count)
    let length: Dimension
    if let input = inputs.type(1) {
      length = input.knownElements?.first ?? .unknown
    } else if kind == .real {
      length = Inference.times(Inference.minus(shape[place], .known(1)), .known(2))
    } else {
      length = shape[place]
    }
    shape[place] =
      kind == .oneSided
      ? Inference.plus(Inference.divided(length, by: 2), .known(1)) : length
    return [ValueType(dtype: dtype, shape: Inference.shape(from: shape))]
  }

  private static func normalized(_ axis: Int, rank: Int) throws(MartletError) -> Int {
    let place = axis < 0 ? axis + rank : axis
    guard (-rank..<rank).contains(axis), place < rank - 1 else {
      throw MartletError(
        .invalidArgument, "DFT: axis \(axis) of \(rank) axes, of which the last is no axis",
        operatorName: "DFT", input: "axis", expected: "-\(rank)...-2 or 0...\(rank - 2)",
        actual: "\(axis)")
    }
    return place
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.float(0)
    guard input.rank >= 2, let parts = input.shape.last, parts == 1 || parts == 2 else {
      throw .shape(
        "DFT", "input", expected: "[..., 1] or [..., 2] of rank 2 at least",
        actual: Shape.text(input.shape), input: "input")
    }
    guard kind != .oneSided || parts == 1 else {
      throw .shape(
        "DFT", "a one-sided transform of complex numbers", expected: "[..., 1]",
        actual: Shape.text(input.shape), input: "input")
    }
    let axis = try Self.normalized(
      inputs.optional(2) == nil ? -2 : try inputs.integer(2), rank: input.rank)
    let extent = input.shape[axis]
    let length =
      try inputs.optional(1) != nil
      ? inputs.integer(1) : kind == .real ? 2 * max(extent - 1, 0) : extent
    guard (1...FourierTransform.longest).contains(length) else {
      throw .shape(
        "DFT", "dft_length", expected: "1...\(FourierTransform.longest)", actual: "\(length)",
        input: "dft_length")
    }
    let transform = try KeptTransform.of(
      inputs, length, isInverse: isInverse, kind: kind, isComplex: parts == 2, context)
    var shape = input.shape
    shape[axis] = transform.resultLength
    let resultParts = kind == .real ? 1 : 2
    shape[shape.count - 1] = resultParts
    _ = try Shape.byteCount(shape, .float64)
    let (source, output) = try FourierOutput.places(input, shape, context)
    if output.count > 0 {
      let outer = shape[..<axis].reduce(1, *)
      let inner = shape[(axis + 1)..<(shape.count - 1)].reduce(1, *)
      try transform.run(
        outer: outer, inner: inner, count: extent, src: source,
        at: FourierTransform.Lines(
          outerStride: extent * inner * parts, innerStride: parts, step: inner * parts),
        dst: output,
        at: FourierTransform.Lines(
          outerStride: transform.resultLength * inner * resultParts, innerStride: resultParts,
          step: inner * resultParts), pool: context.pool)
    }
    context.deliver(try context.finish(output, as: input.dtype))
  }
}

/// A transform that a node keeps from run to run.
final class KeptTransform: Sendable {
  private let transform: FourierTransform
  /// Tables that are longer are made anew.
  private static let longest = 1 << 14

  private init(_ transform: FourierTransform) { self.transform = transform }

  static func of(
    _ inputs: Inputs, _ length: Int, isInverse: Bool, kind: FourierTransform.Kind,
    isComplex: Bool, _ context: RunContext
  ) throws(MartletError) -> FourierTransform {
    if let kept = (inputs.kept as? KeptTransform)?.transform, kept.length == length,
      kept.isInverse == isInverse, kept.kind == kind, kept.isComplex == isComplex
    {
      return kept
    }
    try context.checkRoom(FourierTransform.room(length), inputs.operatorName)
    let transform = FourierTransform(
      length: length, isInverse: isInverse, kind: kind, isComplex: isComplex)
    inputs.kept = length <= longest ? KeptTransform(transform) : nil
    return transform
  }
}

/// Where transforms read and write, of types that they compute with.
enum FourierOutput {
  /// `input`, contiguous, and a tensor of `shape` to be finished as its dtype: 16-bit floats are read as
  /// float32 and rounded from float64.
  static func places(
    _ input: Tensor, _ shape: [Int], _ context: RunContext
  ) throws(MartletError) -> (source: Tensor, output: Tensor) {
    let source = try context.contiguous(
      try context.converted(input, to: input.dtype.computeType))
    let output =
      try source.dtype == input.dtype
      ? context.output(0, input.dtype, shape) : context.scratch(.float64, shape)
    return (source, output)
  }
}
