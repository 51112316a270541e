import MartletBackends
import MartletCore

/// X's elements where MaxPool's `Indices` say that they were, among zeros.
///
/// Indices count over an output without padding of its own, `stride * (extent - 1) + kernel - pads` along
/// each axis; an output_shape that is larger adds zeros at the ends, as ONNX's reference has it. Where
/// several elements have one place, the last stays. Source: ONNX MaxUnpool-22.
package struct MaxUnpool: Operator {
  package static let schema = OperatorSchema(
    name: "MaxUnpool", inputs: ["X", "I", "output_shape"], requiredInputs: 2,
    outputs: ["output"],
    attributes: SlidingWindow.attributes.filter {
      ["kernel_shape", "pads", "strides"].contains($0.key)
    })
  private let window: SlidingWindow
  private let kernel: [Int]

  package init(_ node: OperatorNode) throws(MartletError) {
    window = try SlidingWindow(node.attributes)
    guard let kernel = window.kernelShape else {
      throw MartletError(
        .invalidArgument, "MaxUnpool: attribute 'kernel_shape' is missing",
        operatorName: "MaxUnpool", input: "kernel_shape", expected: "an extent per spatial axis",
        actual: "nothing")
    }
    self.kernel = kernel
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let x = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    try checkRank(x.count)
    if inputs.type(2) != nil {
      guard let given = inputs.type(2)?.knownElements, given.count == x.count else {
        return [ValueType(dtype: dtype, shape: Inference.unknownShape(rank: x.count))]
      }
      return [ValueType(dtype: dtype, shape: Inference.shape(from: given))]
    }
    let window = try window.unresolved(rank: x.count - 2, kernel: kernel)
    var shape = Array(x[..<2])
    for axis in 0..<x.count - 2 {
      let added = kernel[axis] - window.begin[axis] - window.end[axis] - window.strides[axis]
      shape.append(
        Inference.plus(
          Inference.times(x[axis + 2], .known(window.strides[axis])), .known(added)))
    }
    return [ValueType(dtype: dtype, shape: Inference.shape(from: shape))]
  }

  private func checkRank(_ rank: Int) throws(MartletError) {
    guard rank >= 3 else {
      throw .shape(
        "MaxUnpool", "rank of X", expected: "at least 3", actual: "\(rank)", input: "X")
    }
  }

  /// The shape that indices count over.
  private func natural(_ x: [Int]) throws(MartletError) -> [Int] {
    let window = try window.unresolved(rank: x.count - 2, kernel: kernel)
    var shape = Array(x[..<2])
    for axis in 0..<x.count - 2 {
      let (scaled, overflow) = (x[axis + 2] - 1).multipliedReportingOverflow(
        by: window.strides[axis])
      let extent =
        overflow || scaled > Int.max / 4
        ? Int.max / 4 : scaled + kernel[axis] - window.begin[axis] - window.end[axis]
      guard extent >= 0 else {
        throw .shape(
          "MaxUnpool", "pads along spatial axis \(axis)",
          expected: "at most \(extent + window.begin[axis] + window.end[axis])",
          actual: "\(window.begin[axis] + window.end[axis])", input: "pads")
      }
      shape.append(extent)
    }
    return shape
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    let indices = try inputs.required(1, like: .int64)
    try checkRank(x.rank)
    guard indices.shape == x.shape else {
      throw .shape(
        "MaxUnpool", "I", expected: Shape.text(x.shape), actual: Shape.text(indices.shape),
        input: "I")
    }
    let natural = try natural(x.shape)
    let shape = try inputs.optionalIntegers(2) ?? natural
    guard shape.count == x.rank, shape[..<2] == natural[..<2],
      zip(shape, natural).allSatisfy({ $0 >= $1 })
    else {
      throw .shape(
        "MaxUnpool", "output_shape", expected: "at least \(Shape.text(natural))",
        actual: Shape.text(shape), input: "output_shape")
    }
    let output = try context.output(0, x.dtype, shape)
    Copying.zero(output)
    let places = try context.contiguous(indices)
    let wrong = Scattering.unpool(
      try context.contiguous(x), indices: places.typed(Int64.self), natural: natural,
      into: output)
    if let wrong {
      throw MartletError(
        .invalidArgument, "MaxUnpool: index \(wrong) is out of range for \(Shape.text(natural))",
        operatorName: "MaxUnpool", input: "I",
        expected: "0..<\(try Shape.elementCount(natural))", actual: "\(wrong)")
    }
    context.deliver(output)
  }
}
