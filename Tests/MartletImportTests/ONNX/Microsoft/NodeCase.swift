import MartletBackends
import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

/// One node of a file with its inputs, as it loads and runs.
struct NodeCase {
  typealias Attribute = (String, ONNXEncoder.Attribute)

  var op: String
  var inputs: [Tensor?]
  var attributes: [Attribute] = []
  var outputs = 1
  var domain = "com.microsoft"
  /// The inputs that are weights of the model.
  var constants: Set<Int> = []
  /// The inputs whose extents the model does not tell.
  var isSymbolic = false
  var opset = 21

  init(
    _ op: String, _ inputs: [Tensor?], _ attributes: [Attribute] = [], outputs: Int = 1,
    domain: String = "com.microsoft", constants: Set<Int> = []
  ) {
    self.op = op
    self.inputs = inputs
    self.attributes = attributes
    self.outputs = outputs
    self.domain = domain
    self.constants = constants
  }

  private func name(_ index: Int) -> String { inputs[index] == nil ? "" : "i\(index)" }

  func load() throws -> Model {
    var fed: [Message] = []
    var weights: [Message] = []
    for (index, tensor) in inputs.enumerated() {
      guard let tensor else { continue }
      if constants.contains(index) {
        let bytes = UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.byteCount)
        weights.append(
          ONNXEncoder.tensor(
            name(index), Int(tensor.dtype.rawValue), tensor.shape, raw: Array(bytes)))
      } else {
        let dims = tensor.shape.enumerated().map { isSymbolic ? "d\(index)_\($0)" : "\($1)" }
        fed.append(ONNXEncoder.value(name(index), Int(tensor.dtype.rawValue), dims))
      }
    }
    let results = (0..<outputs).map { "y\($0)" }
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node(
          op, inputs.indices.map(name), results, name: "node", domain: domain, attributes)
      ], inputs: fed, outputs: results.map { ONNXEncoder.value($0, 0, nil) },
      initializers: weights)
    return try Model.load(
      ONNXEncoder.model(graph, opset: opset, domains: domain.isEmpty ? [] : [domain]))
  }

  func run() throws -> [Tensor] {
    let fed = inputs.enumerated().compactMap { constants.contains($0) ? nil : $1 }
    return try load().makeRun().run(fed)
  }

  /// The error of loading or running.
  var error: MartletError? { martletError { _ = try run() } }
}

/// A tensor of any dtype from doubles.
func numbers(
  _ values: [Double], _ shape: [Int]? = nil, _ dtype: DType = .float32
) throws -> Tensor {
  let tensor = try Tensor(uninitialized: dtype, shape ?? [values.count])
  try #require(tensor.count == values.count)
  for (index, value) in values.enumerated() {
    let element = Tensor(
      unchecked: tensor.storage, dtype: dtype, shape: [], strides: [],
      byteOffset: index * dtype.wholeByteCount)
    SmallTensors.write(value, to: element)
  }
  return tensor
}

func scalar(_ value: Double, _ dtype: DType = .float32) throws -> Tensor {
  try numbers([value], [], dtype)
}

extension Tensor {
  var doubles: [Double] { SmallTensors.doubles(self) }

  /// Whether all elements are within `tolerance` of these.
  func isNear(_ expected: [Double], _ tolerance: Double = 1e-5) -> Bool {
    let actual = doubles
    return actual.count == expected.count
      && zip(actual, expected).allSatisfy { abs($0 - $1) <= tolerance * max(1, abs($1)) }
  }
}
