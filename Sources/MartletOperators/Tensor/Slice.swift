import MartletBackends
import MartletCore

/// Ranges along axes, with steps of either sign; starts and ends count from the back where negative
/// and are clamped. A view. Source: ONNX Slice-13.
package struct Slice: Operator {
  package static let schema = OperatorSchema(
    name: "Slice", inputs: ["data", "starts", "ends", "axes", "steps"], requiredInputs: 3,
    traits: [.anyElement, .view(of: 0)])

  package init(_ node: OperatorNode) throws(MartletError) {}

  /// The first index and the number of elements that start, end and step select of `extent`.
  static func range(_ extent: Int, _ start: Int, _ end: Int, _ step: Int) -> (Int, Int) {
    // A negative index counts from the back; `.min` would overflow, and is clamped all the same.
    func fromBack(_ index: Int) -> Int { index < 0 ? max(index, -extent - 1) + extent : index }
    if step > 0 {
      let first = min(max(fromBack(start), 0), extent)
      let last = min(max(fromBack(end), 0), extent)
      return (first, last <= first ? 0 : (last - first - 1) / step + 1)
    }
    // Unlike in NumPy, a start before the first element is the first element.
    let first = min(max(fromBack(start), 0), extent - 1)
    let last = min(max(fromBack(end), -1), extent - 1)
    guard first > last else { return (0, 0) }
    // `.min` has no negation.
    let back = step == .min ? Int.max : -step
    return (first, (first - last - 1) / back + 1)
  }

  /// The number of elements that a range with a positive step selects of `extent`, where the order of
  /// its ends is certain whatever the symbols are.
  private static func selected(
    of extent: Dimension, from start: Dimension, to end: Dimension, step: Int
  ) -> Dimension {
    guard step > 0, let first = bound(start, extent), let last = bound(end, extent) else {
      return .unknown
    }
    if first.isAtLeast(last) { return .known(0) }
    let length = Inference.minus(last, first)
    return length.isAtLeast(.known(0)) ? Inference.dividedUp(length, by: step) : .unknown
  }

  /// The place that an end of a range comes to, between 0 and `extent`.
  private static func bound(_ end: Dimension, _ extent: Dimension) -> Dimension? {
    if case .known(let place) = end, place >= Int(Int32.max) { return extent }
    let place =
      if case .known(let number) = end, number < 0 { Inference.plus(extent, end) } else { end }
    guard place.isAtLeast(.known(0)) else { return nil }
    if extent.isAtLeast(place) { return place }
    return place.isAtLeast(extent) ? extent : nil
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0) else { return [.unknown()] }
    guard var shape = data.shape else { return [.unknown(data.dtype)] }
    let starts = inputs.type(1)?.knownElements
    let ends = inputs.type(2)?.knownElements
    let hasAxes = inputs.count > 3 && inputs[3] != nil
    let hasSteps = inputs.count > 4 && inputs[4] != nil
    let count = starts?.count ?? ends?.count
    let axes = hasAxes ? inputs.type(3)?.knownIntegers : count.map { Array(0..<$0) }
    let steps =
      hasSteps ? inputs.type(4)?.knownIntegers : count.map { [Int](repeating: 1, count: $0) }
    guard let axes else {
      return [ValueType(dtype: data.dtype, shape: Inference.unknownShape(rank: shape.count))]
    }
    var elements = data.shape?.count == 1 ? data.knownElements : nil
    for (index, rawAxis) in axes.enumerated() {
      let axis = try Shape.normalizedAxis(rawAxis, rank: shape.count, operatorName: "Slice")
      let step = steps.flatMap { index < $0.count ? $0[index] : nil }
      let start = starts.flatMap { index < $0.count ? $0[index] : nil }
      let end = ends.flatMap { index < $0.count ? $0[index] : nil }
      if case (.known(let extent), .known(let from)?, .known(let to)?, let step?) =
        (shape[axis], start, end, step), step != 0
      {
        let (first, selected) = Slice.range(extent, from, to, step)
        shape[axis] = .known(selected)
        elements = elements.flatMap { all in
          all.count == extent ? (0..<selected).map { all[first + $0 * step] } : nil
        }
        continue
      }
      elements = nil
      shape[axis] = Slice.selected(
        of: shape[axis], from: start ?? .unknown, to: end ?? .unknown, step: step ?? 0)
    }
    return [ValueType(dtype: data.dtype, shape: shape, elements: elements)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    var result = try inputs.required(0)
    let starts = try inputs.integers(1)
    let ends = try inputs.integers(2)
    let axes = try inputs.optionalIntegers(3) ?? Array(starts.indices)
    let steps = try inputs.optionalIntegers(4) ?? [Int](repeating: 1, count: starts.count)
    guard ends.count == starts.count, axes.count == starts.count, steps.count == starts.count else {
      throw .shape(
        "Slice", "starts, ends, axes and steps differ in length",
        expected: "\(starts.count) each",
        actual: "\(ends.count) ends, \(axes.count) axes, \(steps.count) steps")
    }
    _ = try Axes.normalized(axes, rank: result.rank, operatorName: "Slice")
    for (index, rawAxis) in axes.enumerated() {
      let axis = try Shape.normalizedAxis(rawAxis, rank: result.rank, operatorName: "Slice")
      guard steps[index] != 0 else {
        throw MartletError(
          .invalidArgument, "Slice: the step of axis \(rawAxis) is 0", operatorName: "Slice",
          input: "steps", expected: "not 0", actual: "0")
      }
      let (start, count) = Slice.range(
        result.shape[axis], starts[index], ends[index], steps[index])
      result = result.sliced(
        axis: axis, start: start, count: count, step: count > 1 ? steps[index] : 1)
    }
    context.deliver(result)
  }
}
