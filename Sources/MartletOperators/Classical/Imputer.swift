import MartletBackends
import MartletCore

/// X with each value that equals one (or, where that is NaN, is NaN) replaced by its feature's; the
/// features are the last axis. Source: ONNX Imputer-1 (ai.onnx.ml).
package struct Imputer: Operator {
  package static let schema = OperatorSchema(
    name: "Imputer", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "imputed_value_floats": "what is put in place, of each feature or one for all, in floats",
      "imputed_value_int64s": "the same, in integers",
      "replaced_value_float": "what is replaced in floats, 0",
      "replaced_value_int64": "what is replaced in integers, 0",
    ])
  private let floats: [Float]
  private let integers: [Int]
  private let replacedFloat: Float
  private let replacedInteger: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    floats = try node.attributes.optionalFloats("imputed_value_floats") ?? []
    integers = try node.attributes.optionalInts("imputed_value_int64s") ?? []
    replacedFloat = try node.attributes.float("replaced_value_float", default: 0)
    replacedInteger = try node.attributes.int("replaced_value_int64", default: 0)
    guard floats.isEmpty != integers.isEmpty else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): expected values in one of imputed_value_floats and imputed_value_int64s, got \(floats.count) and \(integers.count)",
        operatorName: Self.schema.name, input: "imputed_value_floats",
        expected: "values in one of them", actual: "\(floats.count) and \(integers.count)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let isFloat = integers.isEmpty
    let x = try inputs.required(
      0, { FeatureRows.isTaken($0) && $0.isFloatingPoint == isFloat },
      isFloat
        ? "float32 or float64, as imputed_value_floats" : "int32 or int64, as imputed_value_int64s")
    let width = x.shape.last ?? 1
    let count = isFloat ? floats.count : integers.count
    guard count == 1 || count == width else {
      throw .shape(
        Self.schema.name, "X has \(width) features", expected: "\(count) features",
        actual: Shape.text(x.shape), input: "X")
    }
    let source = try context.contiguous(x)
    let output = try context.output(0, x.dtype, x.shape)
    switch x.dtype {
    case .float32: run(source, output, width, floats, replacedFloat, context)
    case .float64:
      run(source, output, width, floats.map { Double($0) }, Double(replacedFloat), context)
    case .int32:
      guard let values = Self.narrow(integers + [replacedInteger]) else {
        throw .dtype(
          Self.schema.name, "X", expected: "int64, for values that int32 does not have",
          actual: .int32)
      }
      run(source, output, width, Array(values.dropLast()), values[values.count - 1], context)
    default: run(source, output, width, integers.map { Int64($0) }, Int64(replacedInteger), context)
    }
    context.deliver(output)
  }

  private static func narrow(_ values: [Int]) -> [Int32]? {
    let narrow = values.compactMap { Int32(exactly: $0) }
    return narrow.count == values.count ? narrow : nil
  }

  private func run<T: Element>(
    _ x: Tensor, _ output: Tensor, _ width: Int, _ values: [T], _ replaced: T,
    _ context: RunContext
  ) {
    guard x.count > 0 else { return }
    let (source, results) = (x.typed(T.self), output.typed(T.self))
    let each = values.count == width ? values : [T](repeating: values[0], count: width)
    let isNaN = replaced.isNaNValue
    each.withUnsafeBufferPointer { each in
      guard let each = each.baseAddress else { return }
      nonisolated(unsafe) let v = each
      context.forEachRange(x.count / width, nanoseconds: width) { rows in
        for row in rows {
          let (from, to) = (source + row * width, results + row * width)
          if isNaN {
            for i in 0..<width { to[i] = from[i].isNaNValue ? v[i] : from[i] }
          } else {
            for i in 0..<width { to[i] = from[i] == replaced ? v[i] : from[i] }
          }
        }
      }
    }
  }
}
