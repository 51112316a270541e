import MartletBackends
import MartletCore

/// What the iterations of a loop give for one output, to be stacked along a new axis.
struct ScanOutput {
  private var parts: [Tensor] = []

  var isEmpty: Bool { parts.isEmpty }

  /// The rank of each part.
  var rank: Int { parts.first?.rank ?? 0 }

  /// Takes what one iteration gave; it must be of the dtype and shape of those before.
  mutating func append(
    _ value: Value?, _ operatorName: String, _ index: Int
  ) throws(MartletError) {
    guard let tensor = value?.tensor else {
      let actual = value?.summary ?? "nothing"
      throw MartletError(
        .invalidArgument, "\(operatorName): scan output \(index) is \(actual), not a tensor",
        operatorName: operatorName, expected: "a tensor", actual: actual)
    }
    if let first = parts.first, first.dtype != tensor.dtype || first.shape != tensor.shape {
      let (expected, actual) = (Value.tensor(first).summary, Value.tensor(tensor).summary)
      throw MartletError(
        .invalidShape,
        "\(operatorName): scan output \(index) is \(expected) in the first iteration and \(actual) in iteration \(parts.count)",
        operatorName: operatorName, expected: expected, actual: actual)
    }
    parts.append(tensor)
  }

  /// All parts along a new axis at `axis`, the last part first where `isReversed`.
  func stacked(
    _ output: Int, axis: Int = 0, isReversed: Bool = false, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    guard let first = parts.first else {
      throw MartletError(.internalError, "a scan output without parts was to be stacked")
    }
    var shape = first.shape
    shape.insert(parts.count, at: axis)
    let isPacked = first.dtype.isPacked
    let result =
      try isPacked
      ? context.scratch(.uint8, shape) : context.output(output, first.dtype, shape)
    for (index, part) in (isReversed ? parts.reversed() : parts).enumerated() {
      let slice = result.sliced(axis: axis, start: index, count: 1, step: 1)
      var (extents, strides) = (slice.shape, slice.strides)
      extents.remove(at: axis)
      strides.remove(at: axis)
      let target = Tensor(
        unchecked: slice.storage, dtype: slice.dtype, shape: extents, strides: strides,
        byteOffset: slice.byteOffset)
      Copying.copy(isPacked ? try context.codes(part) : part, into: target, context.workspace)
    }
    // Nobody but `parts` need hold the strings that were copied.
    withExtendedLifetime(parts) { result.storage.texts?.seal() }
    return isPacked ? try context.elements(result, as: first.dtype, output: output) : result
  }

  /// The output when there was no iteration: no elements, extents as far as they are known.
  static func empty(
    _ type: ValueType, _ output: Int, axis: Int = 0, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    var shape = (type.shape ?? []).map { dimension in
      if case .known(let extent) = dimension { extent } else { 0 }
    }
    shape.insert(0, at: min(axis, shape.count))
    return try context.output(output, type.dtype ?? .float32, shape)
  }
}
