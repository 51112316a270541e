import MartletBackends
import MartletCore

/// Slices of data at indices along `axis`; negative indices count from the back. One scalar index
/// gives a view. Source: ONNX Gather-13.
package struct Gather: Operator {
  package static let schema = OperatorSchema(
    name: "Gather", inputs: ["data", "indices"], attributes: ["axis": "along which, 0"],
    traits: [.anyElement, .view(of: 0), .anyAddress(inputs: [0])])
  private let axis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0) else { return [.unknown()] }
    guard let shape = data.shape, let indices = inputs.type(1)?.shape else {
      return [.unknown(data.dtype)]
    }
    let axis = try Shape.normalizedAxis(self.axis, rank: shape.count, operatorName: "Gather")
    var result = ValueType(
      dtype: data.dtype, shape: Array(shape[..<axis] + indices + shape[(axis + 1)...]))
    if shape.count == 1, indices.count <= 1, let elements = data.knownElements,
      let wanted = inputs.type(1)?.knownIntegers
    {
      var picked: [Dimension] = []
      for index in wanted where index >= -elements.count && index < elements.count {
        picked.append(elements[index < 0 ? index + elements.count : index])
      }
      if picked.count == wanted.count { result.elements = picked }
    }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let indices = try inputs.required(1, { $0 == .int64 || $0 == .int32 }, "int32 or int64")
    let axis = try Shape.normalizedAxis(self.axis, rank: data.rank, operatorName: "Gather")
    let picked = try Indices.normalized(
      indices, bound: data.shape[axis], axis: axis, operatorName: "Gather", context)
    if indices.rank == 0 {
      let slice = data.sliced(axis: axis, start: picked[0], count: 1, step: 1)
      var (shape, strides) = (slice.shape, slice.strides)
      shape.remove(at: axis)
      strides.remove(at: axis)
      return context.deliver(
        Tensor(
          unchecked: data.storage, dtype: data.dtype, shape: shape, strides: strides,
          byteOffset: slice.byteOffset))
    }
    let output = try context.output(
      0, data.dtype, Array(data.shape[..<axis] + indices.shape + data.shape[(axis + 1)...]))
    Gathering.slices(
      try context.contiguous(data), outer: data.shape[..<axis].reduce(1, *),
      extent: data.shape[axis], inner: data.shape[(axis + 1)...].reduce(1, *), indices: picked,
      into: output, context.workspace)
    context.deliver(output)
  }
}

/// Elements of data at indices along `axis`, at the indices' own place on the other axes.
/// Source: ONNX GatherElements-13.
package struct GatherElements: Operator {
  package static let schema = OperatorSchema(
    name: "GatherElements", inputs: ["data", "indices"], attributes: ["axis": "along which, 0"],
    traits: [.anyElement])
  private let axis: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.int("axis", default: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: inputs.type(0)?.dtype, shape: inputs.type(1)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let indices = try inputs.required(1, { $0 == .int64 || $0 == .int32 }, "int32 or int64")
    let axis = try Shape.normalizedAxis(
      self.axis, rank: data.rank, operatorName: "GatherElements")
    try Indices.checkElements(indices, data.shape, axis: axis, operatorName: "GatherElements")
    let output = try context.output(0, data.dtype, indices.shape)
    let wanted = try context.contiguous(indices)
    let fault = Gathering.elements(
      try context.contiguous(data), axis: axis, indices: wanted, into: output, context.workspace)
    if let fault {
      let index =
        wanted.dtype == .int64
        ? Int(wanted.typed(Int64.self)[fault]) : Int(wanted.typed(Int32.self)[fault])
      throw Indices.outOfRange(index, data.shape[axis], axis: axis, "GatherElements")
    }
    context.deliver(output)
  }
}

/// Slices of data at the index vectors along the last axis of indices, after `batch_dims` axes that
/// both share. Source: ONNX GatherND-13.
package struct GatherND: Operator {
  package static let schema = OperatorSchema(
    name: "GatherND", inputs: ["data", "indices"],
    attributes: ["batch_dims": "leading axes that both share, 0"], traits: [.anyElement])
  private let batchDims: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    batchDims = try node.attributes.int("batch_dims", default: 0)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    guard let data = inputs.type(0)?.shape, let indices = inputs.type(1)?.shape,
      case .known(let depth)? = indices.last, batchDims >= 0, batchDims <= data.count,
      depth <= data.count - batchDims
    else { return [.unknown(dtype)] }
    return [ValueType(dtype: dtype, shape: indices.dropLast() + data[(batchDims + depth)...])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    let indices = try inputs.required(1, { $0 == .int64 || $0 == .int32 }, "int32 or int64")
    let (offsets, slice) = try Indices.sliceOffsets(
      indices, data.shape, batchDims: batchDims, operatorName: "GatherND", context)
    let output = try context.output(0, data.dtype, indices.shape.dropLast() + slice)
    Gathering.slices(
      try context.contiguous(data), atOffsets: offsets, slice: slice.reduce(1, *), into: output,
      context.workspace)
    context.deliver(output)
  }
}
