import MartletBackends
import MartletCore

/// The same elements in another shape: 0 keeps the input's extent (unless `allowzero`), one -1 takes
/// what is left. A view where the strides allow it. Source: ONNX Reshape-24.
package struct Reshape: Operator {
  package static let schema = OperatorSchema(
    name: "Reshape", inputs: ["data", "shape"], outputs: ["reshaped"],
    attributes: ["allowzero": "whether a 0 means an empty axis, 0"],
    traits: [.anyElement, .view(of: 0), .narrow(.carried)])
  private let allowZero: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    allowZero = try node.attributes.bool("allowzero", default: false)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let data = inputs.type(0)
    var result = ValueType(dtype: data?.dtype, shape: nil)
    if let target = inputs.type(1)?.knownElements {
      result.shape = resolve(target, data?.shape)
      if let elements = data?.knownElements, result.rank ?? 2 <= 1 { result.elements = elements }
    } else {
      result.shape = Inference.unknownShape(of: inputs.type(1))
    }
    return [result]
  }

  /// The symbolic result: copies, and the -1 from what the known factors and symbols leave over.
  private func resolve(_ target: [Dimension], _ source: [Dimension]?) -> [Dimension] {
    var result: [Dimension] = []
    var inferred: Int?
    for (axis, dimension) in target.enumerated() {
      if case .known(0) = dimension, !allowZero {
        result.append(source.flatMap { axis < $0.count ? $0[axis] : nil } ?? .unknown)
      } else if case .known(let value) = dimension, value < 0 {
        inferred = axis
        result.append(.unknown)
      } else {
        result.append(dimension)
      }
    }
    guard let inferred, let source else { return result }
    // What stands on both sides goes; of the rest, the quotient.
    var left = source
    var taken: [Dimension] = []
    for (axis, dimension) in result.enumerated() where axis != inferred {
      if dimension != .unknown, dimension != .known(0), let match = left.firstIndex(of: dimension) {
        left.remove(at: match)
      } else {
        taken.append(dimension)
      }
    }
    result[inferred] = Inference.exactQuotient(Inference.product(left), Inference.product(taken))
    return result
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let shape = try resolve(try inputs.integers(1), data)
    context.deliver(try data.viewed(as: shape, context))
  }

  private func resolve(_ target: [Int], _ data: Tensor) throws(MartletError) -> [Int] {
    var shape = target
    var inferred: Int?
    var known = 1
    for (axis, extent) in target.enumerated() {
      switch extent {
      case 0 where !allowZero:
        guard axis < data.rank else {
          throw mismatch(target, data, "a 0 only where the input has an axis")
        }
        shape[axis] = data.shape[axis]
      case -1:
        guard inferred == nil else { throw mismatch(target, data, "at most one -1") }
        inferred = axis
        continue
      case ..<0: throw mismatch(target, data, "extents of -1 or more")
      default: break
      }
      let (product, overflow) = known.multipliedReportingOverflow(by: shape[axis])
      guard !overflow else { throw mismatch(target, data, "\(data.count) elements") }
      known = product
    }
    if let inferred {
      guard known > 0, data.count % known == 0 else {
        throw mismatch(target, data, "extents that divide \(data.count) elements")
      }
      shape[inferred] = data.count / known
    } else if known != data.count {
      throw mismatch(target, data, "\(data.count) elements")
    }
    return shape
  }

  private func mismatch(_ target: [Int], _ data: Tensor, _ expected: String) -> MartletError {
    .shape(
      "Reshape", "cannot reshape \(Shape.text(data.shape))", expected: expected,
      actual: Shape.text(target), input: "shape")
  }
}

extension Tensor {
  /// The same elements in the shape `newShape` of equal count: a view, or a copy where there is none.
  func viewed(as newShape: [Int], _ context: RunContext) throws(MartletError) -> Tensor {
    if isContiguous { return try reshaped(newShape) }
    if let strides = viewStrides(newShape) { return try restrided(newShape, strides: strides) }
    return try context.contiguous(self).reshaped(newShape)
  }

  /// Strides that show these elements in another shape, if the axes that are merged or split lie
  /// evenly in memory.
  private func viewStrides(_ newShape: [Int]) -> [Int]? {
    guard count > 0 else { return nil }
    var strides = [Int](repeating: 1, count: newShape.count)
    let axes = shape.indices.filter { shape[$0] != 1 }
    var (from, to) = (0, 0)
    while from < axes.count && to < newShape.count {
      // The smallest groups of old and new axes with the same number of elements.
      var (oldEnd, newEnd) = (from + 1, to + 1)
      var (oldCount, newCount) = (shape[axes[from]], newShape[to])
      while oldCount != newCount {
        if oldCount < newCount {
          guard oldEnd < axes.count else { return nil }
          oldCount *= shape[axes[oldEnd]]
          oldEnd += 1
        } else {
          guard newEnd < newShape.count else { return nil }
          newCount *= newShape[newEnd]
          newEnd += 1
        }
      }
      for axis in from..<oldEnd - 1
      where self.strides[axes[axis]] != self.strides[axes[axis + 1]] * shape[axes[axis + 1]] {
        return nil
      }
      var step = self.strides[axes[oldEnd - 1]]
      for axis in (to..<newEnd).reversed() {
        strides[axis] = step
        step *= newShape[axis]
      }
      (from, to) = (oldEnd, newEnd)
    }
    return strides
  }
}
