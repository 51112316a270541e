import MartletBackends
import MartletCore

/// The different elements of X, or its different slices along `axis`, ascending or in the order in which
/// they appear; where each is first, which one each element is, and how often each is there.
///
/// Slices ascend by their first elements that differ. Zeros of either sign are equal; so is everything
/// that is no number, which stands last. Strings ascend byte by byte, which is by code point.
/// Complexity: linear without an axis (strings: n log n), else n log n comparisons. Source: ONNX Unique-28.
package struct Unique: Operator {
  package static let schema = OperatorSchema(
    name: "Unique", inputs: ["X"], outputs: ["Y", "indices", "inverse_indices", "counts"],
    attributes: [
      "axis": "along which slices are compared; all elements", "sorted": "whether they ascend, 1",
    ], traits: [.anyElement])
  private let axis: Int?
  private let isSorted: Bool
  private let outputCount: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    axis = try node.attributes.optionalInt("axis")
    isSorted = try node.attributes.bool("sorted", default: true)
    outputCount = max(1, min(node.outputCount, 4))
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let x = inputs.type(0)
    var (shape, extent) = (Inference.unknownShape(rank: 1) as [Dimension]?, Dimension.unknown)
    if let axis {
      shape = x?.shape
      if let rank = x?.shape?.count {
        let place = try Shape.normalizedAxis(axis, rank: rank, operatorName: "Unique")
        extent = shape?[place] ?? .unknown
        shape?[place] = .unknown
      }
    } else if let all = x?.shape {
      extent = Inference.product(all)
    }
    let indices = ValueType(dtype: .int64, shape: [.unknown])
    return Array(
      [
        ValueType(dtype: x?.dtype, shape: shape), indices,
        ValueType(dtype: .int64, shape: [extent]), indices,
      ].prefix(outputCount))
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try context.contiguous(try inputs.required(0))
    var (outer, extent, inner) = (1, x.count, 1)
    var place: Int?
    if let axis {
      let axis = try Shape.normalizedAxis(axis, rank: x.rank, operatorName: "Unique")
      (outer, extent) = (x.shape[..<axis].reduce(1, *), x.shape[axis])
      inner = x.shape[(axis + 1)...].reduce(1, *)
      place = axis
    }
    let groups = try groups(
      try slices(x, outer: outer, extent: extent, inner: inner, context), extent,
      length: outer * inner, context)
    var shape = [groups.firsts.count]
    if let place {
      shape = x.shape
      shape[place] = groups.firsts.count
    }
    let output = try context.output(0, x.dtype, shape)
    Gathering.slices(
      x, outer: outer, extent: extent, inner: inner, indices: groups.firsts, into: output,
      context.workspace)
    context.deliver(output)
    let others = [groups.firsts, groups.inverse, groups.counts]
    for (index, list) in others.prefix(outputCount - 1).enumerated() {
      let output = try context.output(index + 1, .int64, [list.count])
      SmallTensors.write(list, to: output)
      context.deliver(output)
    }
  }

  /// The keys of the elements, slice after slice: [extent, outer * inner].
  private func slices(
    _ x: Tensor, outer: Int, extent: Int, inner: Int, _ context: RunContext
  ) throws(MartletError) -> UnsafeMutablePointer<UInt64> {
    let keys = try context.scratch(.uint64, [x.count])
    if x.dtype == .string {
      try Unique.rank(x, into: keys.typed(UInt64.self), context)
    } else {
      SortKeys.write(
        try context.converted(x, to: x.dtype.computeType), into: keys.typed(UInt64.self))
    }
    if outer == 1 { return keys.typed(UInt64.self) }
    let turned = try context.scratch(.uint64, [extent, outer, inner])
    Copying.copy(
      try keys.reshaped([outer, extent, inner]).permuted([1, 0, 2]), into: turned,
      context.workspace)
    return turned.typed(UInt64.self)
  }

  /// The place of each string among the different ones, ascending.
  private static func rank(
    _ x: Tensor, into keys: UnsafeMutablePointer<UInt64>, _ context: RunContext
  ) throws(MartletError) {
    try context.checkRoom(x.count, "Unique")
    let texts = x.texts
    var order = Array(texts.indices)
    order.sort { isBefore(texts[$0], texts[$1]) }
    var rank = UInt64(0)
    for (position, index) in order.enumerated() {
      if position > 0, isBefore(texts[order[position - 1]], texts[index]) { rank += 1 }
      keys[index] = rank
    }
  }

  private static func isBefore(_ a: Text?, _ b: Text?) -> Bool {
    guard let b else { return false }
    guard let a else { return !b.bytes.isEmpty }
    return a.bytes.lexicographicallyPrecedes(b.bytes)
  }

  private struct Groups {
    /// The first slice of each group, the group of each slice, and the slices of each group.
    var firsts: [Int] = []
    var inverse: [Int]
    var counts: [Int] = []
  }

  private func groups(
    _ keys: UnsafeMutablePointer<UInt64>, _ count: Int, length: Int, _ context: RunContext
  ) throws(MartletError) -> Groups {
    try context.checkRoom(count, "Unique")
    var groups = Groups(inverse: [Int](repeating: 0, count: count))
    if count == 0 { return groups }
    let places = try context.scratch(.int64, [count]).typed(Int64.self)
    if length == 1 {
      let spare = try context.scratch(.uint64, [4, count]).typed(UInt64.self)
      SortKeys.order(keys, count, into: places, spare: spare)
    } else {
      var order = (0..<count).map { Int64($0) }
      order.sort { a, b in
        let order = Unique.compare(keys + Int(a) * length, keys + Int(b) * length, length)
        return order < 0 || order == 0 && a < b
      }
      for (position, index) in order.enumerated() { places[position] = index }
    }
    for position in 0..<count {
      let slice = Int(places[position])
      let last = position > 0 ? Int(places[position - 1]) : slice
      if position == 0
        || Unique.compare(keys + last * length, keys + slice * length, length) != 0
      {
        groups.firsts.append(slice)
        groups.counts.append(0)
      }
      groups.counts[groups.counts.count - 1] += 1
      groups.inverse[slice] = groups.counts.count - 1
    }
    return isSorted ? groups : byAppearance(groups)
  }

  private static func compare(
    _ a: UnsafePointer<UInt64>, _ b: UnsafePointer<UInt64>, _ count: Int
  ) -> Int {
    for i in 0..<count where a[i] != b[i] { return a[i] < b[i] ? -1 : 1 }
    return 0
  }

  private func byAppearance(_ groups: Groups) -> Groups {
    var result = Groups(inverse: groups.inverse)
    var places = [Int](repeating: -1, count: groups.firsts.count)
    for slice in groups.inverse.indices {
      let group = groups.inverse[slice]
      if places[group] < 0 {
        places[group] = result.firsts.count
        result.firsts.append(slice)
        result.counts.append(groups.counts[group])
      }
      result.inverse[slice] = places[group]
    }
    return result
  }
}
