import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

/// Makes small tensors of any dtype from doubles.
func tensor(_ values: [Double], _ shape: [Int]? = nil, _ dtype: DType = .float32) throws -> Tensor {
  let shape = shape ?? [values.count]
  if dtype == .string { return try Tensor(strings: values.map { "\($0)" }, shape) }
  let tensor = try Tensor(uninitialized: dtype, shape)
  try #require(tensor.count == values.count)
  if dtype.isPacked {
    SmallTensors.write(values, to: tensor)
    return tensor
  }
  for (index, value) in values.enumerated() {
    let element = Tensor(
      unchecked: tensor.storage, dtype: dtype, shape: [], strides: [],
      byteOffset: index * dtype.wholeByteCount)
    SmallTensors.write(value, to: element)
  }
  return tensor
}

/// A vector of int64.
func ints(_ values: [Int], _ shape: [Int]? = nil) throws -> Tensor {
  let tensor = try Tensor(uninitialized: .int64, shape ?? [values.count])
  SmallTensors.write(values, to: tensor)
  return tensor
}

/// 0, 1, 2, … in a shape.
func iota(_ shape: [Int], _ dtype: DType = .float32) throws -> Tensor {
  try tensor((0..<shape.reduce(1, *)).map { Double($0) }, shape, dtype)
}

extension DType {
  /// The types that are computed in.
  static let wideCases = numbers.filter { !$0.isNarrow }
}

extension Tensor {
  var values: [Double] { SmallTensors.doubles(self) }
}

func makeContext() -> RunContext { RunContext(mode: .fp32) }

/// Makes and runs an operator through the table, as an importer would.
func run(
  _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:],
  outputs: Int = 1, mode: MathMode = .fp32
) throws -> [Tensor] {
  let id = OperatorTable.id(named: name)
  let node = OperatorNode(
    attributes: Attributes(attributes, operatorName: id.description),
    constants: [Tensor?](repeating: nil, count: inputs.count), inputCount: inputs.count,
    outputCount: outputs)
  return try OperatorTable.make(id, node).results(inputs, RunContext(mode: mode))
}

func infer(
  _ name: String, _ inputs: [ValueType?], _ attributes: [String: AttributeValue] = [:],
  outputs: Int = 1
) throws -> [ValueType] {
  let id = OperatorTable.id(named: name)
  let node = OperatorNode(
    attributes: Attributes(attributes, operatorName: id.description),
    constants: inputs.map { $0?.constant }, inputCount: inputs.count, outputCount: outputs)
  return try OperatorTable.make(id, node).infer(inputs)
}

/// The only output's values.
func values(
  _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:]
) throws -> [Double] {
  try run(name, inputs, attributes)[0].values
}

/// Whether two lists agree to a relative and absolute `tolerance`; NaN equals NaN.
func agree(_ a: [Double], _ b: [Double], _ tolerance: Double = 1e-6) -> Bool {
  a.count == b.count
    && zip(a, b).allSatisfy { x, y in
      x == y || (x.isNaN && y.isNaN) || abs(x - y) <= tolerance * max(1, abs(x), abs(y))
    }
}

/// The error that `body` throws; records an issue when it throws none.
func martletError(
  _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
) -> MartletError? {
  do {
    try body()
  } catch {
    if let known = error as? MartletError { return known }
    Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    return nil
  }
  Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  return nil
}

/// Whether no other backend was asked for by MARTLET_BACKEND: `scripts/test` has these suites run on
/// the reference too.
var runsNatively: Bool { (try? Backends.readsPackedMatrices()) ?? false }
