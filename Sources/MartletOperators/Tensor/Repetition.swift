import MartletBackends
import MartletCore

/// The input repeated along unit axes so that it broadcasts with `shape`. A view.
/// Source: ONNX Expand-13.
package struct Expand: Operator {
  package static let schema = OperatorSchema(
    name: "Expand", inputs: ["input", "shape"], traits: [.anyElement, .view(of: 0)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0) else { return [.unknown()] }
    var result = ValueType(dtype: input.dtype, shape: nil)
    if let target = inputs.type(1)?.knownElements {
      result.shape = try Inference.broadcast(
        input.shape, Inference.shape(from: target), operatorName: "Expand")
      if let elements = input.knownElements, let shape = result.shape, shape.count == 1,
        case .known(let count) = shape[0], count <= Inference.elementLimit
      {
        result.elements =
          elements.count == count
          ? elements
          : elements.count == 1 ? [Dimension](repeating: elements[0], count: count) : nil
      }
    } else if let target = Inference.unknownShape(of: inputs.type(1)), let rank = input.rank {
      result.shape = Inference.unknownShape(rank: max(target.count, rank))
    }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    let target = try inputs.integers(1)
    _ = try Shape.elementCount(target)
    guard let shape = Shape.broadcast(input.shape, target) else {
      throw .shape(
        "Expand", "the input does not broadcast",
        expected: "a shape that broadcasts with \(Shape.text(target))",
        actual: Shape.text(input.shape), input: "shape")
    }
    context.deliver(try input.broadcast(to: shape))
  }
}

/// The input `repeats[i]` times along each axis i. Source: ONNX Tile-13.
package struct Tile: Operator {
  package static let schema = OperatorSchema(
    name: "Tile", inputs: ["input", "repeats"], traits: [.anyElement])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0) else { return [.unknown()] }
    guard let shape = input.shape else { return [.unknown(input.dtype)] }
    guard let repeats = inputs.type(1)?.knownElements, repeats.count == shape.count else {
      return [ValueType(dtype: input.dtype, shape: Inference.unknownShape(rank: shape.count))]
    }
    return [
      ValueType(dtype: input.dtype, shape: zip(shape, repeats).map { Inference.times($0, $1) })
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    let repeats = try inputs.integers(1)
    guard repeats.count == input.rank, repeats.allSatisfy({ $0 >= 0 }) else {
      throw .shape(
        "Tile", "repeats does not fit the input", expected: "\(input.rank) counts >= 0",
        actual: Shape.text(repeats), input: "repeats")
    }
    var shape: [Int] = []
    for (extent, count) in zip(input.shape, repeats) {
      let (product, overflow) = extent.multipliedReportingOverflow(by: count)
      guard !overflow else {
        throw .shape(
          "Tile", "the result is too large", expected: "a size that fits",
          actual: Shape.text(repeats), input: "repeats")
      }
      shape.append(product)
    }
    let output = try context.output(0, input.dtype, shape)
    // Output axis i is the pair (repeat, element); the input stands still along the repeats.
    guard output.count > 0 else { return context.deliver(output) }
    var (pairs, sourceStrides, targetStrides) = ([Int](), [Int](), [Int]())
    for axis in shape.indices where shape[axis] != 1 {
      if repeats[axis] != 1 {
        pairs.append(repeats[axis])
        sourceStrides.append(0)
        targetStrides.append(output.strides[axis] * input.shape[axis])
      }
      pairs.append(input.shape[axis])
      sourceStrides.append(input.strides[axis])
      targetStrides.append(output.strides[axis])
    }
    let source = Tensor(
      unchecked: input.storage, dtype: input.dtype, shape: pairs, strides: sourceStrides,
      byteOffset: input.byteOffset)
    let target = Tensor(
      unchecked: output.storage, dtype: output.dtype, shape: pairs, strides: targetStrides,
      byteOffset: output.byteOffset)
    Copying.copy(source, into: target, context.workspace)
    context.deliver(output)
  }
}
