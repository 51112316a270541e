import MartletBackends
import MartletCore

/// The inputs one after the other along `axis`; all other extents are equal. A first input that is a
/// state which grows along the axis is appended to in place. Source: ONNX Concat-13.
package struct Concat: Operator {
  package static let schema = OperatorSchema(
    name: "Concat", inputs: ["inputs"], isVariadic: true, outputs: ["concat_result"],
    attributes: ["axis": "along which, required"], traits: [.anyElement, .view(of: 0)])
  private let axis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    guard let axis = try node.attributes.optionalInt("axis") else {
      throw MartletError(
        .invalidArgument, "Concat: attribute 'axis' is missing", operatorName: "Concat",
        input: "axis", expected: "an integer", actual: "nothing")
    }
    self.axis = axis
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var result = ValueType(dtype: inputs.lazy.compactMap { $0?.dtype }.first, shape: nil)
    guard let rank = inputs.lazy.compactMap({ $0?.rank }).first, rank > 0 else { return [result] }
    let axis = try Shape.normalizedAxis(self.axis, rank: rank, operatorName: "Concat")
    var shape = Inference.unknownShape(rank: rank)
    var total: Dimension = .known(0)
    for input in inputs {
      guard let extents = input?.shape else {
        total = .unknown
        continue
      }
      guard extents.count == rank else {
        throw .shape(
          "Concat", "inputs differ in rank", expected: "rank \(rank)",
          actual: Inference.text(extents)
        )
      }
      total = Inference.plus(total, extents[axis])
      for other in shape.indices where other != axis && shape[other] == .unknown {
        shape[other] = extents[other]
      }
      for other in shape.indices where other != axis {
        // A number says more than a name.
        if case .known = extents[other] { shape[other] = extents[other] }
      }
    }
    shape[axis] = total
    result.shape = shape
    if rank == 1 {
      var elements: [Dimension]? = []
      for input in inputs {
        guard let some = input?.knownElements else {
          elements = nil
          break
        }
        elements?.append(contentsOf: some)
      }
      if let elements, elements.count <= Inference.elementLimit { result.elements = elements }
    }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let first = try inputs.required(0)
    let axis = try Shape.normalizedAxis(self.axis, rank: first.rank, operatorName: "Concat")
    if inputs.count == 1 { return context.deliver(first) }
    var parts = [first]
    for index in 1..<max(inputs.count, 1) {
      parts.append(try inputs.required(index, like: first.dtype))
    }
    if let state = inputs.state(0), state.axis == axis {
      let (grown, added) = try state.extended(
        by: try Concat.shape(parts, axis, Self.schema)[axis] - first.shape[axis], context.memory)
      Concat.place(Array(parts.dropFirst()), into: added, axis: axis, context)
      return context.deliver(.state(grown))
    }
    context.deliver(try Concat.joined(parts, axis: axis, Self.schema, context))
  }

  /// At least one tensor, all of one dtype, one after the other as the node's output 0.
  static func joined(
    _ parts: [Tensor], axis: Int, _ schema: OperatorSchema, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let output = try context.output(0, parts[0].dtype, try shape(parts, axis, schema))
    place(parts, into: output, axis: axis, context)
    return output
  }

  /// The shape of all parts together; throws where they do not fit.
  private static func shape(
    _ parts: [Tensor], _ axis: Int, _ schema: OperatorSchema
  ) throws(MartletError) -> [Int] {
    let first = parts[0]
    var shape = first.shape
    for (index, next) in parts.enumerated().dropFirst() {
      guard next.dtype == first.dtype else {
        throw .dtype(
          schema.name, "input \(index)", expected: "\(first.dtype)", actual: next.dtype)
      }
      var expected = next.shape
      if expected.count == shape.count { expected[axis] = first.shape[axis] }
      guard expected == first.shape else {
        throw .shape(
          schema.name, "input \(index) does not fit along axis \(axis)",
          expected: "\(Shape.text(first.shape)) but for axis \(axis)",
          actual: Shape.text(next.shape), input: "input \(index)")
      }
      let (sum, overflow) = shape[axis].addingReportingOverflow(next.shape[axis])
      guard !overflow else {
        throw .shape(schema.name, "too large", expected: "a size that fits", actual: "overflow")
      }
      shape[axis] = sum
    }
    return shape
  }

  private static func place(
    _ parts: [Tensor], into output: Tensor, axis: Int, _ context: RunContext
  ) {
    var start = 0
    for part in parts where part.count > 0 {
      let count = part.shape[axis]
      let target = output.sliced(axis: axis, start: start, count: count, step: 1)
      Copying.copy(part, into: target, context.workspace)
      start += count
    }
  }
}
