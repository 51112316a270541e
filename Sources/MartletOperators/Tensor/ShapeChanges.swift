import MartletBackends
import MartletCore

/// The input as a matrix: the axes before `axis` become rows, the others columns.
/// Source: ONNX Flatten-24.
package struct Flatten: Operator {
  package static let schema = OperatorSchema(
    name: "Flatten", inputs: ["input"],
    attributes: ["axis": "the first axis of the columns, -rank...rank, 1"],
    traits: [.anyElement, .view(of: 0), .narrow(.carried)])
  private let axis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: 1)
  }

  private func split(_ rank: Int) throws(MartletError) -> Int {
    guard axis >= -rank, axis <= rank else {
      throw .shape(
        "Flatten", "axis out of range", expected: "-\(rank)...\(rank)", actual: "\(axis)")
    }
    return axis < 0 ? axis + rank : axis
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0) else { return [.unknown()] }
    guard let shape = input.shape else { return [.unknown(input.dtype)] }
    let at = try split(shape.count)
    return [
      ValueType(
        dtype: input.dtype,
        shape: [Inference.product(shape[..<at]), Inference.product(shape[at...])])
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    let at = try split(input.rank)
    let (rows, columns) = (input.shape[..<at].reduce(1, *), input.shape[at...].reduce(1, *))
    context.deliver(try input.viewed(as: [rows, columns], context))
  }
}

/// Drops axes of extent 1: those listed, or all. A view. Source: ONNX Squeeze-24.
package struct Squeeze: Operator {
  package static let schema = OperatorSchema(
    name: "Squeeze", inputs: ["data", "axes"], requiredInputs: 1, outputs: ["squeezed"],
    traits: [.anyElement, .view(of: 0), .narrow(.carried)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0) else { return [.unknown()] }
    guard let shape = data.shape else { return [.unknown(data.dtype)] }
    var result = ValueType(dtype: data.dtype, shape: nil)
    if inputs.count < 2 || inputs[1] == nil {
      // Only where every extent is known does one know which go.
      guard Inference.count(shape) != nil else { return [result] }
      result.shape = shape.filter { $0 != .known(1) }
    } else if let axes = inputs.type(1)?.knownIntegers {
      let dropped = try Axes.normalized(axes, rank: shape.count, operatorName: "Squeeze")
      result.shape = shape.indices.filter { !dropped.contains($0) }.map { shape[$0] }
    }
    if result.rank ?? 2 <= 1 { result.elements = data.knownElements }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let dropped: Set<Int>
    if let axes = try inputs.optionalIntegers(1) {
      dropped = try Axes.normalized(axes, rank: data.rank, operatorName: "Squeeze")
      for axis in dropped where data.shape[axis] != 1 {
        throw .shape(
          "Squeeze", "axis \(axis) cannot be dropped", expected: "extent 1",
          actual: Shape.text(data.shape), input: "axes")
      }
    } else {
      dropped = Set(data.shape.indices.filter { data.shape[$0] == 1 })
    }
    let kept = data.shape.indices.filter { !dropped.contains($0) }
    context.deliver(
      try data.restrided(kept.map { data.shape[$0] }, strides: kept.map { data.strides[$0] }))
  }
}

/// Inserts axes of extent 1 at the listed places of the result. A view. Source: ONNX Unsqueeze-24.
package struct Unsqueeze: Operator {
  package static let schema = OperatorSchema(
    name: "Unsqueeze", inputs: ["data", "axes"], outputs: ["expanded"],
    traits: [.anyElement, .view(of: 0), .narrow(.carried)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0) else { return [.unknown()] }
    guard let shape = data.shape, let axes = inputs.type(1)?.knownIntegers else {
      return [.unknown(data.dtype)]
    }
    let rank = shape.count + axes.count
    let added = try Axes.normalized(axes, rank: rank, operatorName: "Unsqueeze")
    var rest = shape.makeIterator()
    var result = ValueType(dtype: data.dtype, shape: [])
    result.shape = (0..<rank).map { added.contains($0) ? .known(1) : rest.next() ?? .unknown }
    if rank == 1 { result.elements = data.knownElements }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let axes = try inputs.integers(1)
    let rank = data.rank + axes.count
    let added = try Axes.normalized(axes, rank: rank, operatorName: "Unsqueeze")
    var (shape, strides) = ([Int](), [Int]())
    var next = 0
    for axis in 0..<rank {
      if added.contains(axis) {
        shape.append(1)
        strides.append(next < data.rank ? data.strides[next] &* data.shape[next] : 1)
      } else {
        shape.append(data.shape[next])
        strides.append(data.strides[next])
        next += 1
      }
    }
    context.deliver(try data.restrided(shape, strides: strides))
  }
}

/// The input itself. Source: ONNX Identity-24.
package struct Identity: Operator {
  package static let schema = OperatorSchema(
    name: "Identity", inputs: ["input"],
    traits: [.anyElement, .anyKind, .elementwise, .view(of: 0), .narrow(.carried)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [inputs.type(0) ?? .unknown()]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    context.deliver(inputs.value(0))
  }
}
