import MartletBackends
import MartletCore

/// The `activation` attributes of Martlet's matrix operators, which graph passes set where an
/// activation follows a product: the ONNX name of the function and its parameters.
package enum FusedActivation {
  /// Schema entries that every operator with a fused activation has.
  package static let attributes = [
    "activation":
      "Martlet's own: a function applied to the result: Relu, Gelu, GeluTanh, Silu, Tanh, Sigmoid, HardSwish, Clip, LeakyRelu or HardSigmoid; absent: none.",
    "activation_alpha":
      "Martlet's own: LeakyRelu's slope (0.01), HardSigmoid's alpha (0.2), Clip's lower bound (-Inf).",
    "activation_beta": "Martlet's own: HardSigmoid's beta (0.5), Clip's upper bound (+Inf).",
  ]

  /// The names that `activation` takes.
  package static let names = [
    "Relu", "Gelu", "GeluTanh", "Silu", "Tanh", "Sigmoid", "HardSwish", "Clip", "LeakyRelu",
    "HardSigmoid",
  ]

  package static func parse(_ attributes: Attributes) throws(MartletError) -> Activation {
    let name = try attributes.string("activation", default: "")
    let alpha = try attributes.optionalFloat("activation_alpha")
    let beta = try attributes.optionalFloat("activation_beta")
    switch name {
    case "": return .none
    case "Relu": return .relu
    case "Gelu": return .gelu
    case "GeluTanh": return .geluTanh
    case "Silu": return .silu
    case "Tanh": return .tanh
    case "Sigmoid": return .sigmoid
    case "HardSwish": return .hardSwish
    case "Clip": return .clamp(alpha ?? -.infinity, beta ?? .infinity)
    case "LeakyRelu": return .leakyRelu(alpha ?? 0.01)
    case "HardSigmoid": return .hardSigmoid(alpha: alpha ?? 0.2, beta: beta ?? 0.5)
    default:
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): unknown activation '\(name)'",
        operatorName: attributes.operatorName, input: "activation",
        expected: names.joined(separator: ", "), actual: name)
    }
  }
}

extension Activation {
  /// The same as an elementwise function; nil for none.
  package var unaryFunction: UnaryFunction? {
    switch self {
    case .none: nil
    case .relu: .relu
    case .gelu: .gelu
    case .geluTanh: .geluTanh
    case .silu: .silu
    case .tanh: .tanh
    case .sigmoid: .sigmoid
    case .hardSwish: .hardSwish
    case .clamp(let low, let high): .clamp(low, high)
    case .leakyRelu(let slope): .leakyRelu(slope: slope)
    case .hardSigmoid(let alpha, let beta): .hardSigmoid(alpha: alpha, beta: beta)
    }
  }
}
