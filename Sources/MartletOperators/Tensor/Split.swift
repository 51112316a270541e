import MartletBackends
import MartletCore

/// The input cut along `axis` into parts of the sizes in `split`, or into equal parts of which the
/// last may be shorter. Views. Source: ONNX Split-18.
package struct Split: Operator {
  package static let schema = OperatorSchema(
    name: "Split", inputs: ["input", "split"], requiredInputs: 1, outputs: ["outputs"],
    attributes: ["axis": "along which, 0", "num_outputs": "number of equal parts"],
    traits: [.anyElement, .view(of: 0)])
  private let axis: Int
  private let parts: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: 0)
    parts = try node.attributes.int("num_outputs", default: node.outputCount)
    // A file may list no outputs; parts of none cannot be counted.
    guard parts == node.outputCount, parts > 0 else {
      throw MartletError(
        .invalidArgument,
        "Split: attribute 'num_outputs' is \(parts), the node has \(node.outputCount) outputs",
        operatorName: "Split", input: "num_outputs", expected: "\(max(node.outputCount, 1))",
        actual: "\(parts)")
    }
  }

  private func equalSizes(_ extent: Int) -> [Int] {
    let size = extent == 0 ? 0 : (extent - 1) / parts + 1
    var left = extent
    return (0..<parts).map { _ in
      defer { left -= min(size, left) }
      return min(size, left)
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let input = inputs.type(0), let shape = input.shape else {
      return [ValueType](repeating: .unknown(inputs.type(0)?.dtype), count: parts)
    }
    let axis = try Shape.normalizedAxis(self.axis, rank: shape.count, operatorName: "Split")
    var sizes = [Dimension](repeating: .unknown, count: parts)
    if inputs.count > 1, inputs[1] != nil {
      if let known = inputs.type(1)?.knownElements { sizes = known }
    } else if case .known(let extent) = shape[axis] {
      sizes = equalSizes(extent).map { .known($0) }
    } else if let part = DimensionExpression(shape[axis])?.dividedExactly(by: parts) {
      sizes = [Dimension](repeating: part.dimension, count: parts)
    }
    var start: Int? = 0
    return sizes.map { size in
      var part = shape
      part[axis] = size
      var result = ValueType(dtype: input.dtype, shape: part)
      if case .known(let count) = size, let from = start, count >= 0, count <= 1 << 48 {
        if shape.count == 1, let elements = input.knownElements, from + count <= elements.count {
          result.elements = Array(elements[from..<from + count])
        }
        start = from + count
      } else {
        start = nil
      }
      return result
    }
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    let axis = try Shape.normalizedAxis(self.axis, rank: input.rank, operatorName: "Split")
    let extent = input.shape[axis]
    let sizes = try inputs.optionalIntegers(1, context) ?? equalSizes(extent)
    var sum = 0
    for size in sizes {
      guard size >= 0, size <= extent - sum else {
        throw .shape(
          "Split", "the parts do not add up", expected: "sizes >= 0 that sum to \(extent)",
          actual: Shape.text(sizes), input: "split")
      }
      sum += size
    }
    guard sum == extent else {
      throw .shape(
        "Split", "the parts do not add up", expected: "sizes that sum to \(extent)",
        actual: Shape.text(sizes), input: "split")
    }
    var start = 0
    for size in sizes {
      context.deliver(input.sliced(axis: axis, start: start, count: size, step: 1))
      start += size
    }
  }
}
