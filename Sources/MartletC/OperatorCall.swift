import MartletCore
import MartletOperators

/// One run of one operator on behalf of a caller.
struct OperatorCall {
  let op: OperatorID
  let attributes: Attributes
  let mode: MathMode
  private var name: String { attributes.operatorName }

  init(
    _ op: OperatorID, _ attributes: [String: AttributeValue] = [:], mode: MathMode = .effective()
  ) {
    self.op = op
    self.attributes = Attributes(attributes, operatorName: op.description)
    self.mode = mode
  }

  /// Makes the operator, runs it and hands the results to the slots.
  func run(_ inputs: [Tensor?], into slots: ResultSlots) throws(MartletError) {
    try run(inputs, into: slots, with: make(inputs, outputCount: slots.given.count))
  }

  /// As `run`, with the operator that a packed weight keeps for this name and these attributes.
  ///
  /// `weight` is input `index`.
  func run(
    _ inputs: [Tensor?], weight: TensorObject, at index: Int, into slots: ResultSlots
  ) throws(MartletError) {
    guard let packed = weight.packed else { return try run(inputs, into: slots) }
    let key = "\(op) \(inputs.count) \(attributes.values.sorted { $0.key < $1.key })"
    let operation = try packed.operation(key) { () throws(MartletError) in
      try make(
        inputs, outputCount: slots.given.count, constant: index,
        prepared: packed.constants)
    }
    if attributes.values.isEmpty, inputs.count == 2, packed.plainProduct == nil,
      OperatorTable.plainProduct(op) != nil
    {
      packed.plainProduct = operation as? any PlainMatrixProduct
    }
    try run(inputs, into: slots, with: operation)
  }

  /// Multiplies two plain matrices past all that operators in general need; false, with nothing
  /// done, for operands of other kinds.
  ///
  /// `product` was made for `rhs`, where that is a packed weight.
  static func multiply(
    _ product: any PlainMatrixProduct, _ lhs: TensorObject, _ rhs: TensorObject, mode: MathMode,
    into slot: UnsafeMutablePointer<OpaquePointer?>
  ) throws(MartletError) -> Bool {
    guard let a = lhs.plain, let b = rhs.plain, a.columns == b.rows else { return false }
    let existing = try HandleTable.shared.resolveOptional(
      slot.pointee, "result", as: TensorObject.self)
    if existing?.isReadOnly == true { return false }
    let destination: TensorObject
    if let existing {
      destination = existing
    } else {
      destination = TensorObject(try Tensor(uninitialized: .float32, [a.rows, b.columns]))
    }
    guard let dst = destination.plain,
      try product.multiply(a, b, constant: rhs.tensor, into: dst, mode: mode)
    else { return false }
    if existing == nil { slot.pointee = try HandleTable.shared.create(destination) }
    withExtendedLifetime((lhs, rhs, destination)) {}
    return true
  }

  /// Runs and returns the results, without a place given for them.
  func results(_ inputs: [Tensor?]) throws(MartletError) -> [Tensor] {
    let operation = try make(inputs, outputCount: 1)
    return try operation.results(inputs, RunContext(mode: mode))
  }

  private func make(
    _ inputs: [Tensor?], outputCount: Int, constant: Int? = nil,
    prepared: PreparedConstants = PreparedConstants()
  ) throws(MartletError) -> any Operator {
    let operation = try OperatorTable.make(
      op,
      OperatorNode(
        attributes: attributes,
        constants: inputs.enumerated().map { $0 == constant ? $1 : nil },
        inputCount: inputs.count, outputCount: outputCount, prepared: prepared))
    let schema = type(of: operation).schema
    for (index, input) in inputs.enumerated().prefix(schema.requiredInputs) where input == nil {
      let input = index < schema.inputs.count ? schema.inputs[index] : "\(index)"
      throw MartletError(
        .invalidArgument, "\(name): input '\(input)' is missing", operatorName: name, input: input,
        expected: "a tensor", actual: "NULL")
    }
    return operation
  }

  private func run(_ inputs: [Tensor?], into slots: ResultSlots, with operation: any Operator)
    throws(MartletError)
  {
    let destinations = try slots.destinations()
    let count = slots.given.count
    let places = destinations.writable(
      reading: inputs.compactMap { $0.map { .tensor($0) } }, count: count)
    let results = try operation.results(inputs, RunContext(mode: mode, places: places))
    guard results.count >= count else {
      throw MartletError(
        .invalidArgument, "\(name): \(count) outputs were asked for, there are \(results.count)",
        operatorName: name, expected: "at most \(results.count) outputs", actual: "\(count)")
    }
    try slots.receive(Array(results.prefix(count)), destinations)
  }
}
