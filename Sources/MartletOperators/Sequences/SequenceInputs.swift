import MartletBackends
import MartletCore

/// What operators on sequences ask of their inputs.
extension Inputs {
  /// The sequence at `index`.
  func sequence(_ index: Int) throws(MartletError) -> ValueSequence {
    guard case .sequence(let sequence)? = value(index) else {
      let actual = value(index)?.summary ?? "nothing"
      throw MartletError(
        .invalidArgument, "\(operatorName): input '\(name(index))' is \(actual), not a sequence",
        operatorName: operatorName, input: name(index), expected: "a sequence", actual: actual)
    }
    return sequence
  }

  /// The place that input `index` says, counted from the front: one of `count`. Negative numbers count
  /// back from `back`, which is `count` where nothing is said.
  func position(_ index: Int, count: Int, back: Int? = nil) throws(MartletError) -> Int {
    let position = try integer(index)
    let back = back ?? count
    guard position >= -back, position < count else {
      throw MartletError(
        .invalidArgument,
        "\(operatorName): position \(position) lies outside a sequence with \(count) places",
        operatorName: operatorName, input: name(index),
        expected: count == 0 ? "no position: there are no elements" : "-\(back)..<\(count)",
        actual: "\(position)")
    }
    return position < 0 ? position + back : position
  }
}

extension ValueSequence {
  /// Throws where the tensor that is input `index` is to go into a sequence of another dtype.
  static func check(
    _ tensor: Tensor, in dtype: DType?, _ inputs: Inputs, input index: Int
  ) throws(MartletError) {
    guard let dtype, tensor.dtype != dtype else { return }
    throw .dtype(
      inputs.operatorName, inputs.name(index), expected: "\(dtype), as the sequence's elements",
      actual: tensor.dtype)
  }

  /// What an element that is a view takes, about: a tensor, its layout and two small arrays.
  static let viewBytes = 256

  /// Throws `outOfMemory` where a sequence of `count` tensors cannot be had.
  static func checkRoom(
    _ count: Int, _ operatorName: String, _ context: RunContext
  ) throws(MartletError) {
    // `viewBytes` each: eight times what an index takes.
    let (room, overflow) = count.multipliedReportingOverflow(by: 8)
    guard !overflow else {
      throw MartletError(
        .outOfMemory, "\(operatorName): no memory for \(count) elements",
        operatorName: operatorName, actual: "\(count) elements")
    }
    try context.checkRoom(room, operatorName)
  }
}

extension [ValueType?] {
  /// The kind of the elements of the sequence at `index`; nil: not known.
  func sequenceElement(_ index: Int, _ schema: OperatorSchema) throws(MartletError) -> ValueKind? {
    guard let type = type(index), type.kind != .unknownTensor else { return nil }
    guard let element = type.kind.sequenceElement else {
      throw MartletError(
        .invalidArgument,
        "\(schema.name): input '\(schema.inputName(index))' is \(type.text), not a sequence",
        operatorName: schema.name, input: schema.inputName(index), expected: "a sequence",
        actual: type.text)
    }
    return element
  }

  /// What elements of `element` and the value at `index` have in common; throws where a sequence may
  /// not hold both.
  func joined(
    _ element: ValueKind?, _ index: Int, _ schema: OperatorSchema
  ) throws(MartletError) -> ValueKind {
    let kind = type(index)?.kind ?? .unknownTensor
    guard let element else { return kind }
    guard let common = element.common(with: kind) else {
      throw MartletError(
        .invalidDType,
        "\(schema.name): input '\(schema.inputName(index))' is \(kind.text) in a sequence of \(element.text)",
        operatorName: schema.name, input: schema.inputName(index), expected: element.text,
        actual: kind.text)
    }
    return common
  }
}
