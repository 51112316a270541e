import MartletBackends
import MartletCore

// Narrow dtypes (the floats of 8 bits and less, integers of less) are stored, moved and converted, but
// not computed in. An operator that says nothing of them in its traits never sees one.

extension Operator {
  /// `run` for inputs of which some may be narrow, as far as the traits permit it.
  ///
  /// Throws `invalidDType` for an operator that does not take narrow inputs.
  package func runNarrow(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    guard let (index, dtype) = inputs.firstNarrow else { return try run(inputs, context) }
    switch Self.schema.traits.narrowInputs {
    case .carried: try run(inputs, context)
    case .moved: try runMoved(inputs, dtype, context)
    case .refused:
      throw NarrowError.refused(Self.schema.name, inputs.name(index), dtype)
    }
  }

  /// Runs on the codes of the narrow inputs, a byte each, and gives results of bytes as `dtype`.
  private func runMoved(_ inputs: Inputs, _ dtype: DType, _ context: RunContext)
    throws(MartletError)
  {
    var values = inputs.values
    for index in 0..<inputs.count {
      guard let tensor = inputs.optional(index) else { continue }
      if tensor.dtype == dtype {
        values[index] = .tensor(try context.codes(tensor))
      } else if tensor.dtype.isNarrow || tensor.dtype == .uint8 {
        throw .dtype(
          Self.schema.name, inputs.name(index), expected: "\(dtype)", actual: tensor.dtype)
      }
    }
    let inner = RunContext(context.options, memory: context.memory)
    try run(
      Inputs(values, Self.schema, captureCount: inputs.values.count - inputs.count), inner)
    for (index, result) in inner.results.enumerated() {
      guard let tensor = result?.tensor, tensor.dtype == .uint8 else {
        context.deliver(result)
        continue
      }
      context.deliver(try context.elements(tensor, as: dtype, output: index))
    }
  }
}

extension Inputs {
  /// The first input that is narrow, and its dtype.
  var firstNarrow: (index: Int, dtype: DType)? {
    for index in 0..<count {
      if let dtype = values[index]?.tensor?.dtype, dtype.isNarrow { return (index, dtype) }
    }
    return nil
  }
}

extension RunContext {
  /// The codes of a narrow tensor as uint8: a view, or unpacked.
  func codes(_ tensor: Tensor) throws(MartletError) -> Tensor {
    if tensor.dtype.isPacked { return try PackedElements.unpacked(tensor, workspace) }
    return Tensor(
      unchecked: tensor.storage, dtype: .uint8, layout: tensor.layout,
      byteOffset: tensor.byteOffset)
  }

  /// The uint8 tensor `codes` as the narrow `dtype`: a view, or packed into output `index`.
  func elements(_ codes: Tensor, as dtype: DType, output index: Int) throws(MartletError) -> Tensor
  {
    guard dtype.isPacked else {
      return Tensor(
        unchecked: codes.storage, dtype: dtype, layout: codes.layout, byteOffset: codes.byteOffset)
    }
    let result = try output(index, dtype, codes.shape)
    try PackedElements.pack(codes, into: result, workspace)
    return result
  }
}

enum NarrowError {
  static func refused(_ operatorName: String, _ input: String, _ dtype: DType) -> MartletError {
    .dtype(
      operatorName, input, expected: "a type that \(operatorName) is defined for", actual: dtype)
  }
}
