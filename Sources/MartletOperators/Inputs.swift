import MartletBackends
import MartletCore

/// A node's inputs with the checks that every operator makes, worded the same way everywhere.
///
/// Made once per node and context and filled for each run; belongs to one thread at a time.
package final class Inputs {
  /// The inputs, then what the node's regions capture; nil: an optional input that is absent.
  package var values: [Value?]
  /// What the node's operator keeps from run to run in this context; nil at first.
  package var kept: AnyObject?
  /// Whether input 0 comes from the caller of the run and nothing else of its graph reads it.
  package var isOnlyReader = false
  /// Number of inputs, absent ones before the last included.
  package let count: Int
  let operatorName: String
  private let names: [String]

  package init(_ values: [Value?], _ schema: OperatorSchema, captureCount: Int = 0) {
    self.values = values
    count = values.count - captureCount
    operatorName = schema.name
    names = schema.inputs
  }

  package convenience init(_ tensors: [Tensor?], _ schema: OperatorSchema) {
    self.init(tensors.map { $0.map { .tensor($0) } }, schema)
  }

  package func name(_ index: Int) -> String {
    index < names.count ? names[index] : "input \(index)"
  }

  /// The tensor at `index`; throws where it is absent or no tensor.
  package func required(_ index: Int) throws(MartletError) -> Tensor {
    guard index < count, case .tensor(let tensor)? = values[index] else {
      if let state = state(index) { return state.tensor }
      throw notATensor(index)
    }
    return tensor
  }

  /// The state at `index`; nil where the value is none.
  package func state(_ index: Int) -> State? {
    guard index < count, case .state(let state)? = values[index] else { return nil }
    return state
  }

  private func notATensor(_ index: Int) -> MartletError {
    guard index < count, let value = values[index] else {
      return MartletError(
        .invalidArgument, "\(operatorName): input '\(name(index))' is missing",
        operatorName: operatorName, input: name(index), expected: "a tensor", actual: "nothing")
    }
    return MartletError(
      .invalidArgument, "\(operatorName): input '\(name(index))' is \(value.summary), not a tensor",
      operatorName: operatorName, input: name(index), expected: "a tensor", actual: value.summary)
  }

  /// The value at `index`, of any kind; nil where it is absent.
  package func value(_ index: Int) -> Value? { index < count ? values[index] : nil }

  /// The tensor at `index`; nil where it is absent.
  package func optional(_ index: Int) -> Tensor? {
    guard index < count else { return nil }
    if case .tensor(let tensor)? = values[index] { return tensor }
    return state(index)?.tensor
  }

  /// The input at `index`, whose dtype must satisfy `isAllowed`.
  package func required(
    _ index: Int, _ isAllowed: (DType) -> Bool, _ expected: @autoclosure () -> String
  ) throws(MartletError) -> Tensor {
    let tensor = try required(index)
    guard isAllowed(tensor.dtype) else {
      throw .dtype(operatorName, name(index), expected: expected(), actual: tensor.dtype)
    }
    return tensor
  }

  /// The floating-point input at `index`.
  package func float(_ index: Int) throws(MartletError) -> Tensor {
    try required(index, \.isFloatingPoint, "a floating-point type")
  }

  /// The input at `index`, a float of 16 bits and more or one of the four types of 8 bits that have a
  /// sign.
  package func floatOrFloat8(_ index: Int) throws(MartletError) -> Tensor {
    try required(
      index, { $0.isFloatingPoint && (!$0.isNarrow || $0.isSignedFloat8) },
      "a floating-point type of 8 bits or more with a sign")
  }

  /// The optional input at `index`, which must have this dtype.
  package func optional(_ index: Int, like dtype: DType) throws(MartletError) -> Tensor? {
    guard let tensor = optional(index) else { return nil }
    guard tensor.dtype == dtype else {
      throw .dtype(operatorName, name(index), expected: "\(dtype)", actual: tensor.dtype)
    }
    return tensor
  }

  /// The input at `index`, which must have this dtype.
  package func required(_ index: Int, like dtype: DType) throws(MartletError) -> Tensor {
    try required(index, { $0 == dtype }, "\(dtype)")
  }

  /// The elements of the integer input at `index`, a vector or a scalar that speaks of axes: of two
  /// numbers for each at the most.
  package func integers(_ index: Int) throws(MartletError) -> [Int] {
    let tensor = try list(index)
    guard tensor.count <= 2 * Shape.maximumRank else {
      throw .shape(
        operatorName, "\(name(index)) is too long",
        expected: "at most \(2 * Shape.maximumRank) elements", actual: "\(tensor.count) elements",
        input: name(index))
    }
    return SmallTensors.integers(tensor)
  }

  package func optionalIntegers(_ index: Int) throws(MartletError) -> [Int]? {
    optional(index) == nil ? nil : try integers(index)
  }

  /// The elements of the integer input at `index`, a vector or a scalar of any length for which there
  /// is room.
  package func integers(_ index: Int, _ context: RunContext) throws(MartletError) -> [Int] {
    let tensor = try list(index)
    try context.checkRoom(tensor.count, operatorName)
    return SmallTensors.integers(tensor)
  }

  package func optionalIntegers(
    _ index: Int, _ context: RunContext
  ) throws(MartletError) -> [Int]? {
    optional(index) == nil ? nil : try integers(index, context)
  }

  private func list(_ index: Int) throws(MartletError) -> Tensor {
    let tensor = try required(index, \.isInteger, "an integer type")
    guard tensor.rank <= 1 else {
      throw .shape(
        operatorName, "\(name(index)) must be a vector", expected: "rank 0 or 1",
        actual: "rank \(tensor.rank)", input: name(index))
    }
    return tensor
  }

  /// The single integer at `index`.
  package func integer(_ index: Int) throws(MartletError) -> Int {
    let tensor = try required(index, \.isInteger, "an integer type")
    guard tensor.count == 1 else {
      throw .shape(
        operatorName, "\(name(index)) must be one number", expected: "1 element",
        actual: "\(tensor.count) elements", input: name(index))
    }
    return SmallTensors.integers(tensor)[0]
  }

  /// The single number at `index`, of any dtype.
  package func number(_ index: Int) throws(MartletError) -> Double {
    let tensor = try required(index)
    guard tensor.count == 1 else {
      throw .shape(
        operatorName, "\(name(index)) must be one number", expected: "1 element",
        actual: "\(tensor.count) elements", input: name(index))
    }
    return SmallTensors.doubles(tensor)[0]
  }

  /// The common shape of the inputs at `indices`; throws where they do not broadcast.
  package func broadcastShape(_ indices: Range<Int>) throws(MartletError) -> [Int] {
    var shape = try required(indices.lowerBound).shape
    var isNew = false
    for index in indices.dropFirst() {
      let next = try required(index).shape
      if next.isEmpty || next == shape { continue }
      isNew = true
      guard let common = Shape.broadcast(shape, next) else {
        throw .shape(
          operatorName, "\(name(index)) does not broadcast",
          expected: "a shape that broadcasts with \(Shape.text(shape))",
          actual: Shape.text(next), input: name(index))
      }
      shape = common
    }
    if isNew { _ = try Shape.byteCount(shape, .float64) }
    return shape
  }
}
