import MartletBackends
import MartletCore

/// The input resampled to other extents: nearest, linear or cubic, axis by axis.
///
/// Nearest moves elements of any dtype; the others are computed in float32 (float64 for float64).
/// Integers are rounded to nearest with antialias and truncated without, as ONNX Runtime does.
/// Source: ONNX Resize-19.
package struct Resize: Operator {
  package static let schema = OperatorSchema(
    name: "Resize", inputs: ["X", "roi", "scales", "sizes"], requiredInputs: 1, outputs: ["Y"],
    attributes: [
      "antialias": "whether the filter widens when shrinking, 0",
      "axes": "the axes that roi, scales and sizes speak of; all",
      "coordinate_transformation_mode":
        "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric or tf_crop_and_resize; half_pixel",
      "cubic_coeff_a": "-0.75", "exclude_outside": "whether places outside have no weight, 0",
      "extrapolation_value": "of places outside with tf_crop_and_resize, 0",
      "keep_aspect_ratio_policy": "stretch, not_larger or not_smaller; stretch",
      "mode": "nearest, linear or cubic; nearest",
      "nearest_mode": "round_prefer_floor, round_prefer_ceil, floor or ceil; round_prefer_floor",
    ], traits: [.view(of: 0)])
  private let filter: ResampleFilter
  private let axes: [Int]?
  private let policy: String
  private let extrapolation: Float

  package init(_ node: OperatorNode) throws(MartletError) {
    filter = try ResampleFilter(node.attributes)
    axes = try node.attributes.optionalInts("axes")
    extrapolation = try node.attributes.float("extrapolation_value", default: 0)
    policy = try node.attributes.string("keep_aspect_ratio_policy", default: "stretch")
    guard ["stretch", "not_larger", "not_smaller"].contains(policy) else {
      throw MartletError(
        .invalidArgument, "Resize: unknown keep_aspect_ratio_policy '\(policy)'",
        operatorName: "Resize", input: "keep_aspect_ratio_policy",
        expected: "stretch, not_larger or not_smaller", actual: policy)
    }
  }

  /// The axes that scales and sizes speak of, in their order, each once.
  private func touched(_ rank: Int) throws(MartletError) -> [Int] {
    let axes = axes ?? Array(0..<rank)
    _ = try Axes.normalized(axes, rank: rank, operatorName: "Resize")
    return axes.map { $0 < 0 ? $0 + rank : $0 }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let x = inputs.type(0), var shape = x.shape else {
      return [.unknown(inputs.type(0)?.dtype)]
    }
    let touched = try touched(shape.count)
    let sizes = policy == "stretch" ? inputs.type(3)?.knownElements : nil
    var scales: [ResizeScale]?
    if let constant = inputs.type(2)?.constant, constant.count == touched.count {
      scales = ResizeScale.list(constant)
    }
    for (index, axis) in touched.enumerated() {
      if let sizes, index < sizes.count {
        shape[axis] = sizes[index]
      } else if let scales {
        if scales[index].value == 1 { continue }
        if case .known(let extent) = shape[axis] {
          shape[axis] = .known(scales[index].times(extent))
        } else {
          shape[axis] = Resize.scaled(shape[axis], scales[index].value)
        }
      } else {
        shape[axis] = .unknown
      }
    }
    return [ValueType(dtype: x.dtype, shape: shape)]
  }

  /// floor(extent * scale) for scales that float64 multiplies by without rounding.
  private static func scaled(_ extent: Dimension, _ scale: Double) -> Dimension {
    let fractions = 256
    let numerator = scale * Double(fractions)
    guard numerator > 0, numerator < 0x1p20, numerator == numerator.rounded() else {
      return .unknown
    }
    return Inference.divided(
      Inference.times(extent, .known(Int(numerator))), by: fractions)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0)
    let plan = try ResizePlan(inputs, x, axes: touched(x.rank), policy: policy, filter)
    let changed = plan.axes.filter { !$0.isIdentity }
    if changed.isEmpty { return context.deliver(x) }
    var target = x.shape
    for axis in changed { target[axis.axis] = axis.size }
    // Without elements there may still be axes too long to list.
    if try Shape.elementCount(target) == 0 {
      return context.deliver(try context.output(0, x.dtype, target))
    }
    var current = x
    let isNearest = filter.isNearest
    if !isNearest {
      current = try context.converted(x, to: x.dtype == .float64 ? .float64 : .float32)
    }
    current = try context.contiguous(current)
    var steps = changed[...]
    if changed.count >= 2, let columns = changed.last, columns.axis == x.rank - 1,
      changed[changed.count - 2].axis == x.rank - 2
    {
      let rest = changed.dropLast(2)
      if let next = try plane(
        of: current, changed[changed.count - 2], columns, isLast: rest.isEmpty, dtype: x.dtype,
        context)
      {
        steps = rest
        current = next
      }
    }
    // The last axis first: what it makes is smallest, and the later ones move whole rows.
    for axis in steps.reversed() {
      let isLast = axis.axis == steps.first?.axis
      let next = try result(of: current, [axis], isLast: isLast, dtype: x.dtype, context)
      let outer = current.shape[..<axis.axis].reduce(1, *)
      let inner = current.shape[(axis.axis + 1)...].reduce(1, *)
      if isNearest {
        Gathering.slices(
          current, outer: outer, extent: axis.extent, inner: inner, indices: axis.places(filter),
          into: next, context.workspace)
      } else {
        Resampling.mix(
          current, outer: outer, extent: axis.extent, inner: inner, axis.taps(filter), into: next,
          context.workspace)
      }
      current = next
    }
    try extrapolate(current, changed, context)
    if !isNearest { Resampling.settle(current, as: x.dtype, rounds: filter.antialias) }
    context.deliver(try context.finish(current, as: x.dtype))
  }

  /// `values` resized along their last two axes at once; nil where one after the other is better.
  private func plane(
    of values: Tensor, _ rows: ResizeAxis, _ columns: ResizeAxis, isLast: Bool, dtype: DType,
    _ context: RunContext
  ) throws(MartletError) -> Tensor? {
    let outer = values.shape.dropLast(2).reduce(1, *)
    if filter.isNearest {
      let next = try result(of: values, [rows, columns], isLast: isLast, dtype: dtype, context)
      Gathering.grid(
        values, outer: outer, height: rows.extent, width: columns.extent,
        rows: rows.places(filter), columns: columns.places(filter), into: next, context.workspace)
      return next
    }
    guard values.dtype == .float32 else { return nil }
    try checkRoom([rows, columns], context)
    let (rowTaps, columnTaps) = (rows.taps(filter), columns.taps(filter))
    guard Resampling.suitsGrid(rows: rowTaps, columns: columnTaps) else { return nil }
    let next = try result(of: values, [rows, columns], isLast: isLast, dtype: dtype, context)
    guard
      Resampling.mixGrid(
        values, outer: outer, height: rows.extent, width: columns.extent, rows: rowTaps,
        columns: columnTaps, into: next, context.workspace)
    else { throw MartletError(.outOfMemory, "Resize: no memory for lines") }
    return next
  }

  /// Where `values` resized along `axes` go: output 0 if they are the last ones and of its type. Checks
  /// that there is room to list the axes' places.
  private func result(
    of values: Tensor, _ axes: [ResizeAxis], isLast: Bool, dtype: DType, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    try checkRoom(axes, context)
    var shape = values.shape
    for axis in axes { shape[axis.axis] = axis.size }
    _ = try Shape.byteCount(shape, values.dtype)
    return isLast && values.dtype == dtype
      ? try context.output(0, dtype, shape) : try context.scratch(values.dtype, shape)
  }

  private func checkRoom(_ axes: [ResizeAxis], _ context: RunContext) throws(MartletError) {
    for axis in axes {
      let (room, overflow) = axis.size.multipliedReportingOverflow(
        by: filter.reach(axis.scale.value))
      try context.checkRoom(overflow ? .max : room, "Resize")
    }
  }

  /// tf_crop_and_resize: places that lie outside on any axis get one value.
  private func extrapolate(_ result: Tensor, _ axes: [ResizeAxis], _ context: RunContext)
    throws(MartletError)
  {
    guard filter.coordinates == .tensorFlowCrop else { return }
    let value = try context.scalar(Double(extrapolation), result.dtype)
    for axis in axes {
      for place in 0..<axis.size where axis.isOutside(place) {
        let slice = result.sliced(axis: axis.axis, start: place, count: 1, step: 1)
        Copying.copy(try value.broadcast(to: slice.shape), into: slice, context.workspace)
      }
    }
  }
}

/// Which axes change, to what, from the run's inputs.
private struct ResizePlan {
  private(set) var axes: [ResizeAxis] = []

  init(
    _ inputs: Inputs, _ x: Tensor, axes touched: [Int], policy: String, _ filter: ResampleFilter
  ) throws(MartletError) {
    let (given, wanted) = (inputs.optional(2)?.count ?? 0, inputs.optional(3)?.count ?? 0)
    guard (given > 0) != (wanted > 0), max(given, wanted) == touched.count else {
      throw .shape(
        "Resize", "scales or sizes do not fit the input",
        expected: "either scales or sizes, \(touched.count) numbers",
        actual: "\(given) scales and \(wanted) sizes")
    }
    var roi = [Double]()
    if filter.coordinates == .tensorFlowCrop {
      let tensor = inputs.optional(1)
      guard let tensor, tensor.count == 2 * touched.count else {
        throw .shape(
          "Resize", "roi does not fit the axes", expected: "\(2 * touched.count) numbers",
          actual: "\(tensor?.count ?? 0)", input: "roi")
      }
      roi = SmallTensors.doubles(tensor)
    }
    var scales: [ResizeScale]
    var sizes: [Int]
    if wanted > 0, let tensor = inputs.optional(3) {
      sizes = SmallTensors.integers(tensor)
      scales = zip(sizes, touched).map { ResizeScale($0, of: x.shape[$1]) }
      if policy != "stretch" {
        let order: (ResizeScale, ResizeScale) -> Bool = { $0.value < $1.value }
        let common = policy == "not_larger" ? scales.min(by: order) : scales.max(by: order)
        scales = touched.map { _ in common ?? ResizeScale(1) }
        sizes = zip(scales, touched).map { $0.timesRounded(x.shape[$1]) }
      }
    } else {
      scales = inputs.optional(2).map { ResizeScale.list($0) } ?? []
      sizes = zip(scales, touched).map { $0.times(x.shape[$1]) }
    }
    for (index, axis) in touched.enumerated() {
      guard sizes[index] >= 0, sizes[index] < 1 << 31,
        scales[index].value > 0 || x.shape[axis] == 0, x.shape[axis] > 0 || sizes[index] == 0
      else {
        throw .shape(
          "Resize", "axis \(axis) of extent \(x.shape[axis]) cannot be resized",
          expected: "a positive scale and a size below 2^31",
          actual: "scale \(scales[index].value), size \(sizes[index])")
      }
      axes.append(
        ResizeAxis(
          axis: axis, extent: x.shape[axis], size: sizes[index], scale: scales[index],
          roi: roi.isEmpty ? (0, 1) : (roi[index], roi[touched.count + index]),
          coordinates: filter.coordinates))
    }
  }
}
