import MartletBackends
import MartletCore

/// The elements of X's last axis at the indices Y, however those are shaped: [..., F] to [..., count];
/// of a vector, a row. Source: ONNX ArrayFeatureExtractor-1 (ai.onnx.ml).
package struct ArrayFeatureExtractor: Operator {
  package static let schema = OperatorSchema(
    name: "ArrayFeatureExtractor", domain: OperatorID.machineLearningDomain, inputs: ["X", "Y"],
    outputs: ["Z"], traits: [.anyElement])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let shape = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    guard !shape.isEmpty else { throw noScalar() }
    let count = inputs.type(1)?.shape.map { Inference.product($0) } ?? .unknown
    let outer = shape.count == 1 ? [.known(1)] : Array(shape.dropLast())
    return [ValueType(dtype: dtype, shape: outer + [count])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(
      0, { FeatureRows.isTaken($0) || $0 == .string }, FeatureRows.taken + " or string")
    guard x.rank > 0 else { throw noScalar() }
    let given = try inputs.required(1, like: .int64)
    let extent = x.shape[x.rank - 1]
    let indices = try Indices.normalized(
      given, bound: extent, axis: x.rank - 1, operatorName: Self.schema.name, context)
    let outer = x.rank == 1 ? [1] : Array(x.shape.dropLast())
    let output = try context.output(0, x.dtype, outer + [indices.count])
    Gathering.slices(
      try context.contiguous(x), outer: outer.reduce(1, *), extent: extent, inner: 1,
      indices: indices, into: output, context.workspace)
    context.deliver(output)
  }

  private func noScalar() -> MartletError {
    .shape(
      Self.schema.name, "X is a scalar", expected: "rank 1 or more", actual: "rank 0", input: "X")
  }
}

/// Features side by side: tensors [N, F], or rows [F], to [N, sum of `inputdimensions`], float32. What an
/// input has more than its dimension is left out, what it has less is 0.
/// Source: ONNX FeatureVectorizer-1 (ai.onnx.ml).
package struct FeatureVectorizer: Operator {
  package static let schema = OperatorSchema(
    name: "FeatureVectorizer", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    isVariadic: true, outputs: ["Y"],
    attributes: ["inputdimensions": "the features of each input, as many as it has"])
  private let dimensions: [Int]

  package init(_ node: OperatorNode) throws(MartletError) {
    dimensions = try node.attributes.optionalInts("inputdimensions") ?? []
    guard dimensions.isEmpty || dimensions.count == node.inputCount,
      dimensions.allSatisfy({ $0 >= 0 })
    else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): inputdimensions has \(dimensions.count) elements for \(node.inputCount) inputs, or negative ones",
        operatorName: Self.schema.name, input: "inputdimensions",
        expected: "\(node.inputCount) extents", actual: "\(dimensions)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [ValueType(dtype: .float32, shape: [rows, .unknown])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    var parts: [FeatureRows] = []
    for index in 0..<inputs.count {
      let x = try inputs.required(index, FeatureRows.isTaken, FeatureRows.taken)
      let part = try FeatureRows(x, as: .float32, inputs, context)
      if let first = parts.first, first.rows != part.rows {
        throw .shape(
          Self.schema.name, "\(inputs.name(index)) has \(part.rows) rows",
          expected: "\(first.rows) rows", actual: Shape.text(x.shape), input: inputs.name(index))
      }
      parts.append(part)
    }
    let widths = dimensions.isEmpty ? parts.map(\.width) : dimensions
    var total = 0
    for width in widths {
      let (sum, overflow) = total.addingReportingOverflow(width)
      guard !overflow else {
        throw .shape(
          Self.schema.name, "inputdimensions add up to too much", expected: "less",
          actual: Shape.text(widths))
      }
      total = sum
    }
    let rows = parts.first?.rows ?? 0
    let output = try context.output(0, .float32, [rows, total])
    let results = output.typed(Float.self)
    var start = 0
    for (part, width) in zip(parts, widths) {
      let source = part.tensor.typed(Float.self)
      let common = min(width, part.width)
      for row in 0..<rows {
        let to = results + row * total + start
        to.update(from: source + row * part.width, count: common)
        (to + common).update(repeating: 0, count: width - common)
      }
      start += width
    }
    context.deliver(output)
  }
}
