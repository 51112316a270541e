import MartletBackends
import MartletCore

/// An operator of two inputs of one dtype, element by element with broadcasting.
package protocol BinaryOperator: Operator {
  static var function: BinaryFunction { get }
  /// The output's element for computed shapes, where that can be said.
  static func combine(_ a: Dimension, _ b: Dimension) -> Dimension
}

extension BinaryOperator {
  package static func combine(_ a: Dimension, _ b: Dimension) -> Dimension { .unknown }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try [
      Inference.binary(inputs, operatorName: Self.schema.name) { Self.combine($0, $1) }
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.required(0, { $0 != .bool }, "a number type")
    let b = try inputs.required(1, like: a.dtype)
    let output = try context.output(0, a.dtype, try inputs.broadcastShape(0..<2))
    try Elementwise.binary(Self.function, a, b, into: output, context.workspace)
    context.deliver(output)
  }

  package func call(_ inputs: Inputs, into place: Tensor) -> KernelCall? {
    guard let a = inputs.optional(0), let b = inputs.optional(1),
      (try? inputs.broadcastShape(0..<2)) == place.shape
    else { return nil }
    return Elementwise.call(Self.function, a, b, into: place)
  }
}

extension Inference {
  /// The type of a broadcast of two inputs; elements of short integer vectors through `combine`.
  static func binary(
    _ inputs: [ValueType?], operatorName: String, dtype: DType? = nil,
    _ combine: (Dimension, Dimension) -> Dimension
  ) throws(MartletError) -> ValueType {
    let (a, b) = (inputs.type(0), inputs.type(1))
    let shape = try broadcast(a?.shape, b?.shape, operatorName: operatorName)
    var result = ValueType(dtype: dtype ?? a?.dtype ?? b?.dtype, shape: shape)
    if let x = a?.knownElements, let y = b?.knownElements, let shape, shape.count <= 1,
      x.count == y.count || x.count == 1 || y.count == 1
    {
      let count = x.count == 1 ? y.count : x.count
      result.elements = (0..<count).map { index in
        let element = combine(x[x.count == 1 ? 0 : index], y[y.count == 1 ? 0 : index])
        // What would wrap in 32 bits is not followed.
        if case .known(let value) = element, result.dtype == .int32, Int32(exactly: value) == nil {
          return .unknown
        }
        return element
      }
    }
    return result
  }
}

extension OperatorSchema {
  /// Two inputs that broadcast, one output.
  static func binary(
    _ name: String, attributes: [String: String] = [:],
    traits: OperatorTraits = [.elementwise, .inPlace(with: [0, 1])]
  ) -> OperatorSchema {
    OperatorSchema(
      name: name, inputs: ["A", "B"], outputs: ["C"], attributes: attributes, traits: traits)
  }
}
