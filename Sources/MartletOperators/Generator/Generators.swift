import MartletBackends
import MartletCore

/// The tensor in its attribute. Source: ONNX Constant-24 (sparse values are importers' business).
package struct Constant: Operator {
  package static let schema = OperatorSchema(
    name: "Constant", inputs: [],
    attributes: [
      "value": "a tensor", "value_float": "a float32 scalar", "value_floats": "a float32 vector",
      "value_int": "an int64 scalar", "value_ints": "an int64 vector",
      "value_string": "a string scalar", "value_strings": "a vector of strings",
    ], traits: [.anyElement])
  private let value: Tensor

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    if let tensor = try attributes.optionalTensor("value") {
      value = tensor
    } else if let number = try attributes.optionalInt("value_int") {
      value = try Tensor(uninitialized: .int64, [])
      SmallTensors.write([number], to: value)
    } else if let numbers = try attributes.optionalInts("value_ints") {
      value = try Tensor(uninitialized: .int64, [numbers.count])
      SmallTensors.write(numbers, to: value)
    } else if let number = try attributes.optionalFloat("value_float") {
      value = try SmallTensors.scalar(Double(number), .float32)
    } else if let numbers = try attributes.optionalFloats("value_floats") {
      value = try Tensor(uninitialized: .float32, [numbers.count])
      SmallTensors.write(numbers.map { Double($0) }, to: value)
    } else if case .string(let text)? = attributes.values["value_string"] {
      value = try Tensor(texts: [try Text(text)], [])
    } else if let strings = try attributes.optionalStrings("value_strings") {
      var texts: [Text?] = []
      for string in strings { texts.append(try Text(string)) }
      value = try Tensor(texts: texts, [texts.count])
    } else {
      throw MartletError(
        .unsupported, "Constant: no value of a supported kind", operatorName: "Constant",
        expected: Constant.schema.attributes.keys.sorted().joined(separator: ", "),
        actual: attributes.values.keys.sorted().joined(separator: ", "))
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: value.dtype, shape: value.shape.map { .known($0) }, constant: value)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    context.deliver(value)
  }
}

/// A tensor of the shape in the input, filled with one value, float32 zero by default.
/// Source: ONNX ConstantOfShape-24.
package struct ConstantOfShape: Operator {
  package static let schema = OperatorSchema(
    name: "ConstantOfShape", inputs: ["input"],
    attributes: ["value": "a tensor of one element; float32 0"])
  private let value: Tensor

  package init(_ node: OperatorNode) throws(MartletError) {
    if let tensor = try node.attributes.optionalTensor("value") {
      value = tensor
    } else {
      value = try SmallTensors.scalar(0, .float32)
    }
    guard value.count == 1 else {
      throw .shape(
        "ConstantOfShape", "attribute 'value' must be one number", expected: "1 element",
        actual: "\(value.count) elements", input: "value")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var result = ValueType(dtype: value.dtype, shape: nil)
    if let elements = inputs.type(0)?.knownElements {
      let shape = Inference.shape(from: elements)
      result.shape = shape
      if value.dtype.isInteger, shape.count <= 1, let count = Inference.count(shape),
        count <= Inference.elementLimit
      {
        result.elements = [Dimension](
          repeating: .known(SmallTensors.integers(value)[0]), count: count)
      }
    } else {
      result.shape = Inference.unknownShape(of: inputs.type(0))
    }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let shape = try inputs.integers(0)
    let output = try context.output(0, value.dtype, shape)
    Copying.fill(output, with: value, context.workspace)
    context.deliver(output)
  }
}

/// start, start + delta, … below limit (above, for a negative delta): start + i * delta, which float16
/// and bfloat16 compute in float32 or float64 and round once at the end. Source: ONNX Range-27.
package struct RangeOf: Operator {
  package static let schema = OperatorSchema(
    name: "Range", inputs: ["start", "limit", "delta"],
    attributes: [
      "stash_type": "The type that float16 and bfloat16 compute in: 1 float32, 11 float64; 1"
    ])
  private let computesInFloat64: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    let type = try node.attributes.int("stash_type", default: 1)
    guard type == 1 || type == 11 else {
      throw MartletError(
        .invalidArgument,
        "Range: attribute 'stash_type' must be 1 (float32) or 11 (float64), got \(type)",
        operatorName: "Range", input: "stash_type", expected: "1 or 11", actual: "\(type)")
    }
    computesInFloat64 = type == 11
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var result = ValueType(dtype: inputs.type(0)?.dtype, shape: [.unknown])
    guard let start = inputs.type(0)?.knownElements?.first,
      let limit = inputs.type(1)?.knownElements?.first,
      let delta = inputs.type(2)?.knownElements?.first
    else { return [result] }
    if case (.known(let from), .known(let to), .known(let step)) = (start, limit, delta), step != 0,
      from.magnitude < 1 << 48, to.magnitude < 1 << 48, step.magnitude < 1 << 48
    {
      let count = RangeOf.count(Double(from), Double(to), Double(step))
      result.shape = [.known(count)]
      if count <= Inference.elementLimit {
        result.elements = (0..<count).map { .known(from + $0 * step) }
      }
    } else if delta == .known(1) {
      let length = Inference.minus(limit, start)
      if length.isAtLeast(.known(0)) { result.shape = [length] }
    }
    return [result]
  }

  private static func count(_ start: Double, _ limit: Double, _ delta: Double) -> Int {
    let count = ((limit - start) / delta).rounded(.up)
    return count > 0 && count < 1e15 ? Int(count) : 0
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let dtype = try inputs.required(0, { $0 != .bool }, "a number type").dtype
    _ = try inputs.required(1, like: dtype)
    _ = try inputs.required(2, like: dtype)
    let (start, limit) = (try inputs.number(0), try inputs.number(1))
    let delta = try inputs.number(2)
    var span = limit - start
    if dtype == .int64 {
      // Differences are exact where the numbers themselves are not as float64.
      let (exact, overflow) = try inputs.integer(1).subtractingReportingOverflow(
        try inputs.integer(0))
      if !overflow { span = Double(exact) }
    }
    let length = (span / delta).rounded(.up)
    guard delta != 0, !length.isNaN, length < 0x1p60 else {
      throw MartletError(
        .invalidArgument, "Range: from \(start) to \(limit) by \(delta) is no finite range",
        operatorName: "Range", input: "delta", expected: "a finite number of steps",
        actual: "\(delta)")
    }
    let count = length > 0 ? Int(length) : 0
    let isHalf = dtype == .float16 || dtype == .bfloat16
    let type = isHalf && computesInFloat64 ? DType.float64 : dtype.computeType
    let result =
      type == dtype
      ? try context.output(0, dtype, [count]) : try context.scratch(type, [count])
    Generating.ramp(
      result, start: try context.converted(try inputs.required(0), to: type),
      delta: try context.converted(try inputs.required(2), to: type))
    context.deliver(try context.finish(result, as: dtype))
  }
}

/// Ones on a diagonal of a matrix of the input's shape. Source: ONNX EyeLike-22.
package struct EyeLike: Operator {
  package static let schema = OperatorSchema(
    name: "EyeLike", inputs: ["input"],
    attributes: ["dtype": "the output's; the input's", "k": "the diagonal: above it for k > 0, 0"])
  private let dtype: DType?
  private let k: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    dtype =
      if let number = try node.attributes.optionalInt("dtype") {
        try DType.fromONNX(number, operatorName: "EyeLike", attribute: "dtype")
      } else { nil }
    k = try node.attributes.int("k", default: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: dtype ?? inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    guard input.rank == 2 else {
      throw .shape(
        "EyeLike", "the input must be a matrix", expected: "rank 2", actual: "rank \(input.rank)",
        input: "input")
    }
    let output = try context.output(0, dtype ?? input.dtype, input.shape)
    Copying.zero(output)
    let (rows, columns) = (input.shape[0], input.shape[1])
    guard k > -rows, k < columns else { return context.deliver(output) }
    let (row, column) = (max(0, -k), max(0, k))
    let diagonal = try output.restrided(
      [min(rows - row, columns - column)], strides: [columns + 1], at: row * columns + column)
    let one = try context.scalar(1, output.dtype)
    Copying.copy(try one.broadcast(to: diagonal.shape), into: diagonal, context.workspace)
    context.deliver(output)
  }
}

extension Tensor {
  /// Other strides over the same storage, from element `start` on.
  func restrided(_ newShape: [Int], strides newStrides: [Int], at start: Int)
    throws(MartletError) -> Tensor
  {
    try Tensor(
      storage: storage, dtype: dtype, shape: newShape, strides: newStrides,
      byteOffset: byteOffset + start * dtype.wholeByteCount)
  }
}
