import MartletBackends
import MartletCore

/// Runs its body for each element of a sequence, and makes sequences of what it gives.
///
/// Further inputs are sequences of the same length, whose elements the body gets, or tensors, which it
/// gets whole. Source: ONNX SequenceMap-17.
package struct SequenceMap: Operator {
  package static let schema = OperatorSchema(
    name: "SequenceMap", inputs: ["input_sequence", "additional_inputs"], requiredInputs: 1,
    isVariadic: true, outputs: ["out_sequence"], traits: [.anyElement, .anyKind])

  private let body: any RegionDescription
  private let bodyIndex: Int
  private let outputCount: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    bodyIndex = try node.regionIndex("body", of: "SequenceMap")
    body = node.regions[bodyIndex]
    outputCount = node.outputCount
    guard body.inputCount == node.inputCount, body.outputCount >= node.outputCount else {
      throw MartletError(
        .invalidModel,
        "SequenceMap: the body takes \(body.inputCount) inputs and gives \(body.outputCount) outputs, the node has \(node.inputCount) and \(node.outputCount)",
        operatorName: "SequenceMap", input: "body",
        expected: "\(node.inputCount) inputs and \(node.outputCount) outputs",
        actual: "\(body.inputCount) and \(body.outputCount)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    _ = try inputs.sequenceElement(0, Self.schema)
    let formals = inputs.map { type in
      type.map { ValueType($0.kind.sequenceElement ?? $0.kind) }
    }
    return try body.infer(formals).map { ValueType(.sequence(of: $0.kind)) }
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    guard bodyIndex < context.regions.count else { throw RegionError.missing("SequenceMap") }
    let region = context.regions[bodyIndex]
    let length = try inputs.sequence(0).elements.count
    for index in 0..<inputs.count {
      guard case .sequence(let sequence)? = inputs.value(index),
        sequence.elements.count != length
      else { continue }
      throw MartletError(
        .invalidShape, "SequenceMap: sequences differ in length", operatorName: "SequenceMap",
        input: Self.schema.inputName(index), expected: "\(length) elements",
        actual: "\(sequence.elements.count)")
    }
    var results = [[Value]](repeating: [], count: outputCount)
    for position in 0..<length {
      try context.checkpoint?()
      var arguments: [Value?] = []
      for index in 0..<inputs.count {
        if case .sequence(let sequence)? = inputs.value(index) {
          arguments.append(sequence.elements[position])
        } else {
          arguments.append(inputs.value(index))
        }
      }
      let outputs = try region.run(arguments, context)
      for index in results.indices {
        guard index < outputs.count, let value = outputs[index] else {
          throw RegionError.missing("SequenceMap")
        }
        results[index].append(value)
      }
    }
    // Of sequences without elements the body's types tell the dtype.
    let types = length == 0 ? try body.infer([ValueType?](repeating: nil, count: inputs.count)) : []
    for (index, elements) in results.enumerated() {
      let dtype = index < types.count ? types[index].dtype : nil
      context.deliver(try context.memory.sequence(elements, dtype: dtype))
    }
  }
}
