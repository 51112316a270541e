import MartletBackends
import MartletCore

/// A + B; integers wrap. Source: ONNX Add-14.
package struct Add: BinaryOperator {
  package static let schema = OperatorSchema.binary("Add")
  package static let function = BinaryFunction.add
  package init(_ node: OperatorNode) throws(MartletError) {}
  package static func combine(_ a: Dimension, _ b: Dimension) -> Dimension { Inference.plus(a, b) }
}

/// A - B; integers wrap. Source: ONNX Sub-14.
package struct Sub: BinaryOperator {
  package static let schema = OperatorSchema.binary("Sub")
  package static let function = BinaryFunction.sub
  package init(_ node: OperatorNode) throws(MartletError) {}
  package static func combine(_ a: Dimension, _ b: Dimension) -> Dimension { Inference.minus(a, b) }
}

/// A * B; integers wrap. Source: ONNX Mul-14.
package struct Mul: BinaryOperator {
  package static let schema = OperatorSchema.binary("Mul")
  package static let function = BinaryFunction.mul
  package init(_ node: OperatorNode) throws(MartletError) {}
  package static func combine(_ a: Dimension, _ b: Dimension) -> Dimension { Inference.times(a, b) }
}

/// A / B; integers truncate towards zero, and by zero give 0. Source: ONNX Div-14.
package struct Div: BinaryOperator {
  package static let schema = OperatorSchema.binary("Div")
  package static let function = BinaryFunction.div
  package init(_ node: OperatorNode) throws(MartletError) {}
  package static func combine(_ a: Dimension, _ b: Dimension) -> Dimension {
    switch (a, b) {
    case (.known(let x), .known(let y)) where y > 0: return .known(x / y)
    case (_, .known(1)): return a
    // Below zero it would round the other way.
    case (_, .known(let y)) where y > 0 && a.isAtLeast(.known(0)):
      return Inference.divided(a, by: y)
    default: return .unknown
    }
  }
}

/// x for x >= 0, slope * x below; the slope broadcasts to X. Source: ONNX PRelu-16.
package struct PRelu: BinaryOperator {
  package static let schema = OperatorSchema(
    name: "PRelu", inputs: ["X", "slope"], outputs: ["Y"],
    traits: [.elementwise, .inPlace(with: [0, 1])])
  package static let function = BinaryFunction.prelu
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// The remainder: with the divisor's sign (as Python's %), or with `fmod` the dividend's (as C's).
/// Floats take fmod 0 too, as NumPy's `mod`; integers modulo zero give 0. Source: ONNX Mod-13.
package struct Mod: Operator {
  package static let schema = OperatorSchema.binary(
    "Mod", attributes: ["fmod": "1: the sign of the dividend, 0"])
  private let function: BinaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    function = try node.attributes.bool("fmod", default: false) ? .remainder : .modulo
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try [
      Inference.binary(inputs, operatorName: "Mod") { a, b in
        guard case .known(let y) = b, y > 0, a.isAtLeast(.known(0)) else { return .unknown }
        return Inference.minus(a, Inference.times(Inference.divided(a, by: y), b))
      }
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.required(0, { $0 != .bool }, "a number type")
    let b = try inputs.required(1, like: a.dtype)
    let output = try context.output(0, a.dtype, try inputs.broadcastShape(0..<2))
    try Elementwise.binary(function, a, b, into: output, context.workspace)
    context.deliver(output)
  }
}
