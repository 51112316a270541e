import MartletBackends
import MartletCore

/// Index tensors made into plain integers inside their bounds.
enum Indices {
  /// The elements of an int32 or int64 tensor in row-major order, counted from the front; throws on
  /// one outside -bound..<bound, naming it.
  static func normalized(
    _ indices: Tensor, bound: Int, axis: Int, operatorName: String, _ context: RunContext
  ) throws(MartletError) -> [Int] {
    try context.checkRoom(indices.count, operatorName)
    var values = SmallTensors.integers(indices)
    let fault = values.withUnsafeMutableBufferPointer { values -> Int? in
      for position in values.indices {
        let index = values[position]
        guard index >= -bound, index < bound else { return index }
        if index < 0 { values[position] = index + bound }
      }
      return nil
    }
    if let fault { throw outOfRange(fault, bound, axis: axis, operatorName) }
    return values
  }

  static func outOfRange(_ index: Int, _ bound: Int, axis: Int, _ operatorName: String)
    -> MartletError
  {
    MartletError(
      .invalidArgument,
      "\(operatorName): index \(index) is out of range for axis \(axis) of extent \(bound)",
      operatorName: operatorName, input: "indices", expected: "\(-bound)..<\(bound)",
      actual: "\(index)")
  }

  /// Throws unless `indices` fits data of this shape in all axes but one (GatherElements,
  /// ScatterElements).
  static func checkElements(
    _ indices: Tensor, _ dataShape: [Int], axis: Int, operatorName: String
  ) throws(MartletError) {
    guard indices.rank == dataShape.count else {
      throw .shape(
        operatorName, "indices and data differ in rank", expected: "rank \(dataShape.count)",
        actual: "rank \(indices.rank)", input: "indices")
    }
    for other in dataShape.indices
    where other != axis && indices.shape[other] > dataShape[other] {
      throw .shape(
        operatorName, "indices reach beyond data", expected: "at most \(Shape.text(dataShape))",
        actual: Shape.text(indices.shape), input: "indices")
    }
  }

  /// For each element of `indices` along `axis` of data: the offset in elements of contiguous data
  /// at the same place on the other axes.
  static func elementOffsets(
    _ indices: Tensor, _ dataShape: [Int], axis: Int, operatorName: String, _ context: RunContext
  ) throws(MartletError) -> [Int] {
    try checkElements(indices, dataShape, axis: axis, operatorName: operatorName)
    var offsets = try normalized(
      indices, bound: dataShape[axis], axis: axis, operatorName: operatorName, context)
    let strides = Shape.contiguousStrides(dataShape)
    let columns = indices.shape.last ?? 1
    let step = axis == dataShape.count - 1 ? 0 : 1
    let stride = strides[axis]
    offsets.withUnsafeMutableBufferPointer { offsets in
      var element = 0
      while element < offsets.count {
        // Where the row begins, without what the axis adds.
        var (rest, base) = (element / columns, 0)
        for other in dataShape.indices.dropLast().reversed() {
          if other != axis { base += rest % indices.shape[other] * strides[other] }
          rest /= indices.shape[other]
        }
        for i in 0..<columns {
          offsets[element + i] = offsets[element + i] &* stride &+ base &+ i &* step
        }
        element += columns
      }
    }
    return offsets
  }

  /// For each vector along the last axis of `indices`: the offset in elements of the slice of
  /// contiguous data that it names, after `batchDims` axes that both share (GatherND, ScatterND).
  static func sliceOffsets(
    _ indices: Tensor, _ dataShape: [Int], batchDims: Int, operatorName: String,
    _ context: RunContext
  ) throws(MartletError) -> (offsets: [Int], slice: [Int]) {
    guard indices.rank >= 1, dataShape.count >= 1, batchDims >= 0,
      batchDims < min(indices.rank, dataShape.count),
      indices.shape[..<batchDims] == dataShape[..<batchDims]
    else {
      throw .shape(
        operatorName, "indices and data do not share \(batchDims) batch axes",
        expected: Shape.text(dataShape), actual: Shape.text(indices.shape), input: "indices")
    }
    let depth = indices.shape[indices.rank - 1]
    guard depth <= dataShape.count - batchDims else {
      throw .shape(
        operatorName, "index vectors are longer than data has axes",
        expected: "at most \(dataShape.count - batchDims)", actual: "\(depth)", input: "indices")
    }
    try context.checkRoom(indices.count, operatorName)
    try context.checkRoom(indices.shape.dropLast().reduce(1, *), operatorName)
    let values = SmallTensors.integers(indices)
    let strides = Shape.contiguousStrides(dataShape)
    let vectors = indices.shape.dropLast().reduce(1, *)
    let batches = dataShape[..<batchDims].reduce(1, *)
    let batchSize = dataShape[batchDims...].reduce(1, *)
    var offsets: [Int] = []
    offsets.reserveCapacity(vectors)
    let perBatch = max(vectors / max(batches, 1), 1)
    var fault: (index: Int, axis: Int)?
    values.withUnsafeBufferPointer { values in
      var (inBatch, start) = (0, 0)
      for vector in 0..<vectors {
        var offset = start
        for level in 0..<depth {
          let axis = batchDims + level
          let (bound, index) = (dataShape[axis], values[vector * depth + level])
          guard index >= -bound, index < bound else {
            fault = (index, axis)
            return
          }
          offset += (index < 0 ? index + bound : index) * strides[axis]
        }
        offsets.append(offset)
        inBatch += 1
        if inBatch == perBatch { (inBatch, start) = (0, start + batchSize) }
      }
    }
    if let fault {
      throw outOfRange(fault.index, dataShape[fault.axis], axis: fault.axis, operatorName)
    }
    return (offsets, Array(dataShape[(batchDims + depth)...]))
  }
}
