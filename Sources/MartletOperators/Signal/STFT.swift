import MartletBackends
import MartletCore

/// The Fourier transforms of frames of a signal [N, length, 1 or 2], every `frame_step` numbers: [N,
/// frames, bins, 2].
///
/// Frames are multiplied by `window` and transformed in float64, with one rounding at the end. Source:
/// ONNX STFT-17.
package struct STFT: Operator {
  package static let schema = OperatorSchema(
    name: "STFT", inputs: ["signal", "frame_step", "window", "frame_length"], requiredInputs: 2,
    attributes: ["onesided": "whether only the first half of the spectrum is wanted, 1"])
  private let isOneSided: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    isOneSided = try node.attributes.bool("onesided", default: true)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    let signal = inputs.type(0)?.shape
    if let rank = signal?.count, rank != 3 {
      throw .shape("STFT", "rank of signal", expected: "3", actual: "\(rank)", input: "signal")
    }
    var shape: [Dimension] = [signal?[0] ?? .unknown, .unknown, .unknown, .known(2)]
    let length: Dimension =
      if inputs.type(3) != nil {
        inputs.type(3)?.knownElements?.first ?? .unknown
      } else if inputs.type(2) != nil {
        inputs.type(2)?.shape?.first ?? .unknown
      } else { signal?[1] ?? .unknown }
    shape[2] =
      isOneSided ? Inference.plus(Inference.divided(length, by: 2), .known(1)) : length
    if let samples = signal?[1], let step = inputs.type(1)?.knownIntegers?.first, step > 0 {
      shape[1] = Inference.plus(
        Inference.divided(Inference.minus(samples, length), by: step), .known(1))
    }
    return [ValueType(dtype: dtype, shape: Inference.shape(from: shape))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let signal = try inputs.float(0)
    guard signal.rank == 3, (1...2).contains(signal.shape[2]) else {
      throw .shape(
        "STFT", "signal", expected: "[N, length, 1] or [N, length, 2]",
        actual: Shape.text(signal.shape), input: "signal")
    }
    let step = try inputs.integer(1)
    guard step > 0 else {
      throw MartletError(
        .invalidArgument, "STFT: frame_step is \(step)", operatorName: "STFT",
        input: "frame_step", expected: ">= 1", actual: "\(step)")
    }
    let window = try inputs.optional(2, like: signal.dtype)
    if let window, window.rank != 1 {
      throw .shape(
        "STFT", "rank of window", expected: "1", actual: "\(window.rank)", input: "window")
    }
    let samples = signal.shape[1]
    let length = try inputs.optional(3) == nil ? window?.count ?? samples : inputs.integer(3)
    if let window, window.count != length {
      throw .shape(
        "STFT", "window", expected: "[\(length)], the frame_length",
        actual: Shape.text(window.shape), input: "window")
    }
    guard length >= 1, length <= min(samples, FourierTransform.longest) else {
      throw .shape(
        "STFT", "frames of a signal of \(samples) numbers",
        expected: "a length of 1...\(min(samples, FourierTransform.longest))",
        actual: "\(length)", input: inputs.optional(3) == nil ? "window" : "frame_length")
    }
    let frames = (samples - length) / step + 1
    let parts = signal.shape[2]
    let transform = try KeptTransform.of(
      inputs, length, isInverse: false, kind: isOneSided ? .oneSided : .complex,
      isComplex: parts == 2, context)
    let bins = transform.resultLength
    let shape = [signal.shape[0], frames, bins, 2]
    _ = try Shape.byteCount(shape, .float64)
    let (source, output) = try FourierOutput.places(signal, shape, context)
    if output.count > 0 {
      let weights = try window.map { window throws(MartletError) in
        try context.contiguous(try context.converted(window, to: .float64)).typed(Double.self)
      }
      // A step may lead beyond the signal where there is one frame.
      let stride = frames > 1 ? step * parts : 0
      try transform.run(
        outer: shape[0], inner: frames, count: length, src: source,
        at: FourierTransform.Lines(
          outerStride: samples * parts, innerStride: stride, step: parts),
        dst: output,
        at: FourierTransform.Lines(
          outerStride: frames * bins * 2, innerStride: bins * 2, step: 2),
        window: weights.map { UnsafePointer($0) }, pool: context.pool)
    }
    context.deliver(try context.finish(output, as: signal.dtype))
  }
}
