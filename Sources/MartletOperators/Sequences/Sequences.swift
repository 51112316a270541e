import MartletBackends
import MartletCore

/// The inputs, of one dtype, as a sequence. Source: ONNX SequenceConstruct-11.
package struct SequenceConstruct: Operator {
  package static let schema = OperatorSchema(
    name: "SequenceConstruct", inputs: ["inputs"], isVariadic: true, outputs: ["output_sequence"],
    traits: [.anyElement, .anyKind])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var element: ValueKind?
    for index in inputs.indices { element = try inputs.joined(element, index, Self.schema) }
    return [ValueType(.sequence(of: element ?? .unknownTensor))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    var elements: [Value] = []
    for index in 0..<inputs.count {
      let tensor = try inputs.required(index)
      try ValueSequence.check(tensor, in: elements.first?.tensor?.dtype, inputs, input: index)
      elements.append(.tensor(try context.memory.lasting(tensor)))
    }
    context.deliver(try context.memory.sequence(elements, dtype: nil))
  }
}

/// A sequence of no elements. Source: ONNX SequenceEmpty-11.
package struct SequenceEmpty: Operator {
  package static let schema = OperatorSchema(
    name: "SequenceEmpty", inputs: [],
    attributes: ["dtype": "ONNX's number of the elements' dtype; float32"])
  private let dtype: DType

  package init(_ node: OperatorNode) throws(MartletError) {
    let number = try node.attributes.int("dtype", default: Int(DType.float32.rawValue))
    dtype =
      number == Int(DType.string.rawValue)
      ? .string : try DType.fromONNX(number, operatorName: "SequenceEmpty", attribute: "dtype")
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(.sequence(of: .tensor(dtype, nil)))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    context.deliver(.sequence(try ValueSequence([], dtype: dtype)))
  }
}

/// The sequence with a tensor put in before `position`, or at the end. Source: ONNX SequenceInsert-11.
package struct SequenceInsert: Operator {
  package static let schema = OperatorSchema(
    name: "SequenceInsert", inputs: ["input_sequence", "tensor", "position"], requiredInputs: 2,
    outputs: ["output_sequence"], traits: [.anyElement, .anyKind])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let element = try inputs.sequenceElement(0, Self.schema)
    // What is declared of an empty sequence's elements need not hold for those that come.
    return [
      ValueType(.sequence(of: try inputs.joined(element?.withoutExtents, 1, Self.schema)))
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let sequence = try inputs.sequence(0)
    let tensor = try inputs.required(1)
    try ValueSequence.check(tensor, in: sequence.dtype, inputs, input: 1)
    let value = Value.tensor(try context.memory.lasting(tensor))
    let count = sequence.elements.count
    let position =
      inputs.value(2) == nil ? count : try inputs.position(2, count: count + 1, back: count)
    guard position < count else {
      context.deliver(.sequence(try sequence.appending(value, context.memory.allowance)))
      return
    }
    var elements = Array(sequence.elements)
    elements.insert(value, at: position)
    context.deliver(try context.memory.sequence(elements, dtype: sequence.dtype))
  }
}

/// The sequence without the element at `position`, or the last. Source: ONNX SequenceErase-11.
package struct SequenceErase: Operator {
  package static let schema = OperatorSchema(
    name: "SequenceErase", inputs: ["input_sequence", "position"], requiredInputs: 1,
    outputs: ["output_sequence"], traits: [.anyElement, .anyKind])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(.sequence(of: try inputs.sequenceElement(0, Self.schema) ?? .unknownTensor))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let sequence = try inputs.sequence(0)
    var elements = Array(sequence.elements)
    let position: Int
    if inputs.value(1) == nil {
      guard !elements.isEmpty else {
        throw MartletError(
          .invalidArgument, "SequenceErase: the sequence is empty", operatorName: "SequenceErase",
          input: "input_sequence", expected: "at least 1 element", actual: "none")
      }
      position = elements.count - 1
    } else {
      position = try inputs.position(1, count: elements.count)
    }
    elements.remove(at: position)
    context.deliver(try context.memory.sequence(elements, dtype: sequence.dtype))
  }
}

/// The element at `position`. Source: ONNX SequenceAt-11.
package struct SequenceAt: Operator {
  package static let schema = OperatorSchema(
    name: "SequenceAt", inputs: ["input_sequence", "position"], outputs: ["tensor"],
    traits: [.anyElement, .anyKind])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(try inputs.sequenceElement(0, Self.schema) ?? .unknownTensor)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let sequence = try inputs.sequence(0)
    let position = try inputs.position(1, count: sequence.elements.count)
    context.deliver(sequence.elements[position])
  }
}

/// The number of elements, an int64 scalar. Source: ONNX SequenceLength-11.
package struct SequenceLength: Operator {
  package static let schema = OperatorSchema(
    name: "SequenceLength", inputs: ["input_sequence"], outputs: ["length"],
    traits: [.anyElement, .anyKind])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    _ = try inputs.sequenceElement(0, Self.schema)
    return [ValueType(dtype: .int64, shape: [])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let output = try context.output(0, .int64, [])
    SmallTensors.write([try inputs.sequence(0).elements.count], to: output)
    context.deliver(output)
  }
}
