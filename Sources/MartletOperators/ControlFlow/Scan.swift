import MartletBackends
import MartletCore

/// Runs its body for each slice of its scan inputs, with states that each step hands to the next.
///
/// Inputs: N states, then M = `num_scan_inputs` tensors whose slices along their axes the body takes,
/// (states..., slices...); it gives (states..., slices of the scan outputs...). States keep dtype and
/// shape. Source: ONNX Scan-25; the batch of Scan-8 is an outer loop, and its `sequence_lens` says how
/// many steps each sample makes.
package struct Scan: Operator {
  package static let schema = OperatorSchema(
    name: "Scan", inputs: ["initial_state_and_scan_inputs"], isVariadic: true,
    outputs: ["final_state_and_scan_outputs"],
    attributes: [
      "num_scan_inputs": "How many of the inputs are scanned.",
      "scan_input_axes": "Per scan input: the axis that its slices are cut along (0).",
      "scan_input_directions": "Per scan input: 1 scans from the end (0).",
      "scan_output_axes": "Per scan output: the axis that its slices are stacked along (0).",
      "scan_output_directions": "Per scan output: 1 stacks the last step first (0).",
    ], traits: [.anyElement, .anyKind, .narrow(.carried)])

  private let body: any RegionDescription
  private let bodyIndex: Int
  private let stateCount: Int
  private let scanCount: Int
  private let outputCount: Int
  private let inputAxes: [Int]
  private let inputDirections: [Int]
  private let outputAxes: [Int]
  private let outputDirections: [Int]

  package init(_ node: OperatorNode) throws(MartletError) {
    bodyIndex = try node.regionIndex("body", of: "Scan")
    body = node.regions[bodyIndex]
    guard let scanned = try node.attributes.optionalInt("num_scan_inputs"), scanned >= 1,
      scanned <= node.inputCount
    else {
      throw MartletError(
        .invalidArgument, "Scan: num_scan_inputs must be given, from 1 to the number of inputs",
        operatorName: "Scan", input: "num_scan_inputs", expected: "1...\(node.inputCount)")
    }
    let (states, outputs) = (
      node.inputCount - scanned, body.outputCount - node.inputCount + scanned
    )
    (stateCount, scanCount, outputCount) = (states, scanned, outputs)
    guard body.inputCount == node.inputCount, outputs >= 0, body.outputCount >= node.outputCount
    else {
      throw MartletError(
        .invalidModel,
        "Scan: the body takes \(body.inputCount) inputs and gives \(body.outputCount) outputs, the node has \(node.inputCount) and \(node.outputCount)",
        operatorName: "Scan", input: "body", expected: "\(node.inputCount) inputs",
        actual: "\(body.inputCount)")
    }
    func list(_ name: String, _ count: Int, _ limit: ClosedRange<Int>) throws(MartletError) -> [Int]
    {
      guard let values = try node.attributes.optionalInts(name) else {
        return [Int](repeating: 0, count: count)
      }
      guard values.count == count, values.allSatisfy({ limit.contains($0) }) else {
        throw MartletError(
          .invalidArgument, "Scan: \(name) is \(Shape.text(values))", operatorName: "Scan",
          input: name, expected: "\(count) numbers in \(limit)", actual: Shape.text(values))
      }
      return values
    }
    let axes = -Shape.maximumRank...Shape.maximumRank
    inputAxes = try list("scan_input_axes", scanned, axes)
    inputDirections = try list("scan_input_directions", scanned, 0...1)
    outputAxes = try list("scan_output_axes", outputs, axes)
    outputDirections = try list("scan_output_directions", outputs, 0...1)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var formals: [ValueType?] = []
    for index in 0..<stateCount { formals.append(inputs.type(index)?.withoutElements) }
    var length: Dimension?
    for index in 0..<scanCount {
      guard let type = inputs.type(stateCount + index) else {
        formals.append(nil)
        continue
      }
      var slice = ValueType(dtype: type.dtype, shape: nil)
      if var shape = type.shape {
        let axis = try Shape.normalizedAxis(
          inputAxes[index], rank: shape.count, operatorName: "Scan")
        let extent = shape.remove(at: axis)
        slice.shape = shape
        if case .known(let a)? = length, case .known(let b) = extent, a != b {
          throw lengthError(a, b, index)
        }
        if length == nil || length == .unknown { length = extent }
      }
      formals.append(slice)
    }
    let results = try body.infer(formals)
    var types: [ValueType] = []
    for (index, result) in results.enumerated() {
      guard index >= stateCount else {
        let before = formals[index]
        if let x = before?.dtype, let y = result.dtype, x != y {
          throw MartletError(
            .invalidDType, "Scan: state \(index) is \(x) before a step and \(y) after it",
            operatorName: "Scan", expected: "\(x)", actual: "\(y)")
        }
        types.append((before ?? .unknown()).completed(by: result.withoutElements))
        continue
      }
      var type = ValueType(dtype: result.dtype, shape: nil)
      if var shape = result.shape {
        let axis = try Shape.normalizedAxis(
          outputAxes[index - stateCount], rank: shape.count + 1, operatorName: "Scan")
        shape.insert(length ?? .unknown, at: axis)
        type.shape = shape
      }
      types.append(type)
    }
    return types
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    guard bodyIndex < context.regions.count else { throw RegionError.missing("Scan") }
    let region = context.regions[bodyIndex]
    var states: [Value?] = []
    for index in 0..<stateCount { states.append(inputs.value(index)) }
    var scanned: [(tensor: Tensor, axis: Int, elements: Tensor)] = []
    for index in 0..<scanCount {
      let tensor = try inputs.required(stateCount + index)
      let axis = try Shape.normalizedAxis(
        inputAxes[index], rank: tensor.rank, operatorName: "Scan")
      if let first = scanned.first, first.tensor.shape[first.axis] != tensor.shape[axis] {
        throw lengthError(first.tensor.shape[first.axis], tensor.shape[axis], index)
      }
      // Slices of packed elements begin between bytes: they are cut from the codes.
      scanned.append((tensor, axis, tensor.dtype.isPacked ? try context.codes(tensor) : tensor))
    }
    let length = scanned.first.map { $0.tensor.shape[$0.axis] } ?? 0
    var outputs = [ScanOutput](repeating: ScanOutput(), count: outputCount)
    for step in 0..<length {
      try context.beginIteration()
      var arguments = states
      for (index, source) in scanned.enumerated() {
        let start = inputDirections[index] == 1 ? length - 1 - step : step
        var slice = source.elements.slice(at: start, along: source.axis)
        if source.tensor.dtype.isPacked {
          let packed = try Tensor(uninitialized: source.tensor.dtype, slice.shape)
          try PackedElements.pack(slice, into: packed, context.workspace)
          slice = packed
        }
        arguments.append(.tensor(slice))
      }
      let results = try region.run(arguments, context)
      guard results.count >= stateCount + outputCount else { throw RegionError.missing("Scan") }
      for index in 0..<stateCount {
        if let before = states[index]?.tensor, let after = results[index]?.tensor,
          before.dtype != after.dtype || before.shape != after.shape
        {
          let (expected, actual) = (Value.tensor(before).summary, Value.tensor(after).summary)
          throw MartletError(
            .invalidShape,
            "Scan: state \(index) is \(expected) before a step and \(actual) after it",
            operatorName: "Scan", expected: expected, actual: actual)
        }
        states[index] = results[index]
      }
      for index in outputs.indices {
        try outputs[index].append(results[stateCount + index], "Scan", index)
      }
    }
    for state in states { context.deliver(state) }
    try deliver(outputs, scanned.map { ($0.tensor, $0.axis) }, inputs, context)
  }

  private func deliver(
    _ outputs: [ScanOutput], _ scanned: [(tensor: Tensor, axis: Int)], _ inputs: Inputs,
    _ context: RunContext
  ) throws(MartletError) {
    var types: [ValueType] = []
    if outputs.contains(where: \.isEmpty) {
      var formals: [ValueType?] = []
      for index in 0..<stateCount {
        formals.append(inputs.optional(index).map { ValueType(dtype: $0.dtype, shape: nil) })
      }
      for source in scanned {
        var shape = source.tensor.shape
        shape.remove(at: source.axis)
        formals.append(ValueType(dtype: source.tensor.dtype, shape: shape.map { .known($0) }))
      }
      types = Array(try body.infer(formals).dropFirst(stateCount))
    }
    for (index, output) in outputs.enumerated() {
      let place = stateCount + index
      if output.isEmpty {
        let axis = try Shape.normalizedAxis(
          outputAxes[index], rank: (types[index].rank ?? 0) + 1, operatorName: "Scan")
        context.deliver(try ScanOutput.empty(types[index], place, axis: axis, context))
        continue
      }
      let axis = try Shape.normalizedAxis(
        outputAxes[index], rank: output.rank + 1, operatorName: "Scan")
      context.deliver(
        try output.stacked(place, axis: axis, isReversed: outputDirections[index] == 1, context))
    }
  }

  private func lengthError(_ a: Int, _ b: Int, _ index: Int) -> MartletError {
    .shape(
      "Scan", "scan inputs differ in length", expected: "\(a) slices as scan input 0",
      actual: "\(b) in scan input \(index)")
  }
}

extension Tensor {
  /// The slice at `index` along `axis`, without that axis.
  fileprivate func slice(at index: Int, along axis: Int) -> Tensor {
    let slice = sliced(axis: axis, start: index, count: 1, step: 1)
    var (extents, strides) = (slice.shape, slice.strides)
    extents.remove(at: axis)
    strides.remove(at: axis)
    return Tensor(
      unchecked: storage, dtype: dtype, shape: extents, strides: strides,
      byteOffset: slice.byteOffset)
  }
}
