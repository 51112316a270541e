import MartletBackends
import MartletCore

/// x for x >= 0, alpha x below. Source: ONNX LeakyRelu-16.
package struct LeakyRelu: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "LeakyRelu", attributes: ["alpha": "the slope below zero, 0.01"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let alpha = try node.attributes.float("alpha", default: 0.01)
    function = .leakyRelu(slope: alpha)
  }
}

/// x for x >= 0, alpha (e^x - 1) below. Source: ONNX Elu-22.
package struct Elu: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "Elu", attributes: ["alpha": "the limit below zero, 1"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let alpha = try node.attributes.float("alpha", default: 1)
    function = .elu(alpha: alpha)
  }
}

/// gamma x for x >= 0, gamma alpha (e^x - 1) below. Source: ONNX Selu-22.
package struct Selu: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "Selu", attributes: ["alpha": "the limit below zero over gamma", "gamma": "the factor"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let alpha = try node.attributes.float("alpha", default: 1.67326319217681884765625)
    let gamma = try node.attributes.float("gamma", default: 1.05070102214813232421875)
    function = .selu(alpha: alpha, gamma: gamma)
  }
}

/// max(0, x) + min(0, alpha (e^(x/alpha) - 1)). Source: ONNX Celu-12.
package struct Celu: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "Celu", attributes: ["alpha": "the limit below zero, 1"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let alpha = try node.attributes.float("alpha", default: 1)
    function = .celu(alpha: alpha)
  }
}

/// x for x > alpha, 0 elsewhere. Source: ONNX ThresholdedRelu-22.
package struct ThresholdedRelu: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "ThresholdedRelu", attributes: ["alpha": "the threshold, 1"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let alpha = try node.attributes.float("alpha", default: 1)
    function = .thresholdedRelu(alpha: alpha)
  }
}

/// clamp(alpha x + beta, 0, 1). Source: ONNX HardSigmoid-22.
package struct HardSigmoid: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "HardSigmoid", attributes: ["alpha": "the slope, 0.2", "beta": "the value at zero, 0.5"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let alpha = try node.attributes.float("alpha", default: 0.2)
    let beta = try node.attributes.float("beta", default: 0.5)
    function = .hardSigmoid(alpha: alpha, beta: beta)
  }
}

/// x - bias above lambd, x + bias below -lambd, 0 between. Source: ONNX Shrink-9.
package struct Shrink: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "Shrink", attributes: ["bias": "the shift, 0", "lambd": "the threshold, 0.5"])
  package static let takesIntegers = true
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let bias = try node.attributes.float("bias", default: 0)
    let lambd = try node.attributes.float("lambd", default: 0.5)
    function = .shrink(lambda: lambd, bias: bias)
  }
}

/// x * sigmoid(alpha x). Source: ONNX Swish-24.
package struct Swish: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "Swish", attributes: ["alpha": "the factor in the sigmoid, 1"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let alpha = try node.attributes.float("alpha", default: 1)
    function = alpha == 1 ? .silu : .swish(alpha: alpha)
  }
}

/// x/2 (1 + erf(x/sqrt 2)), or its approximation by tanh. Source: ONNX Gelu-20.
package struct Gelu: UnaryOperator {
  package static let schema = OperatorSchema.unary(
    "Gelu", attributes: ["approximate": "none or tanh, none"])
  package let function: UnaryFunction

  package init(_ node: OperatorNode) throws(MartletError) {
    let approximate = try node.attributes.string("approximate", default: "none")
    switch approximate {
    case "none": function = .gelu
    case "tanh": function = .geluTanh
    default:
      throw MartletError(
        .invalidArgument, "Gelu: attribute 'approximate' must be none or tanh, got \(approximate)",
        operatorName: "Gelu", input: "approximate", expected: "none or tanh", actual: approximate)
    }
  }
}
