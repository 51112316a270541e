import MartletKernels

/// A function of one number. Parameters are the operators' own.
package enum UnaryFunction: Sendable, Equatable {
  case neg, abs, sqrt, reciprocal, exp, log, tanh, erf, sigmoid, gelu, geluTanh, silu, relu
  case hardSwish, softplus, floor, ceil, round, sin, cos
  case tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, sign, softsign, mish
  /// x for x > 0, slope * x elsewhere.
  case leakyRelu(slope: Float)
  /// x for x > 0, alpha (e^x - 1) elsewhere.
  case elu(alpha: Float)
  /// gamma times elu.
  case selu(alpha: Float, gamma: Float)
  /// max(0, x) + min(0, alpha (e^(x/alpha) - 1)).
  case celu(alpha: Float)
  /// x for x > alpha, 0 elsewhere.
  case thresholdedRelu(alpha: Float)
  /// x - bias above lambda, x + bias below -lambda, 0 between.
  case shrink(lambda: Float, bias: Float)
  /// x * sigmoid(alpha x).
  case swish(alpha: Float)
  /// min(max(x, low), high), NaN kept.
  case clamp(Float, Float)
  /// clamp(alpha x + beta, 0, 1).
  case hardSigmoid(alpha: Float, beta: Float)
  /// scale * x + offset, rounded twice.
  case affine(scale: Float, offset: Float)

  /// Whether a kernel computes it, as what products apply to their results must be.
  package var hasKernel: Bool { kernel != nil }

  /// The kernel that computes it and the kernel's two parameters; nil where there is none.
  var kernel: (index: Int, a: Float, b: Float)? {
    switch self {
    case .neg: (MK_UNARY_NEG, 0, 0)
    case .abs: (MK_UNARY_ABS, 0, 0)
    case .sqrt: (MK_UNARY_SQRT, 0, 0)
    case .reciprocal: (MK_UNARY_RECIPROCAL, 0, 0)
    case .exp: (MK_UNARY_EXP, 0, 0)
    case .log: (MK_UNARY_LOG, 0, 0)
    case .tanh: (MK_UNARY_TANH, 0, 0)
    case .erf: (MK_UNARY_ERF, 0, 0)
    case .sigmoid: (MK_UNARY_SIGMOID, 0, 0)
    case .gelu: (MK_UNARY_GELU, 0, 0)
    case .geluTanh: (MK_UNARY_GELU_TANH, 0, 0)
    case .silu: (MK_UNARY_SILU, 0, 0)
    case .relu: (MK_UNARY_RELU, 0, 0)
    case .hardSwish: (MK_UNARY_HARD_SWISH, 0, 0)
    case .softplus: (MK_UNARY_SOFTPLUS, 0, 0)
    case .floor: (MK_UNARY_FLOOR, 0, 0)
    case .ceil: (MK_UNARY_CEIL, 0, 0)
    case .round: (MK_UNARY_ROUND, 0, 0)
    case .sin: (MK_UNARY_SIN, 0, 0)
    case .cos: (MK_UNARY_COS, 0, 0)
    case .mish: (MK_UNARY_MISH, 0, 0)
    case .asin: (MK_UNARY_ASIN, 0, 0)
    case .acos: (MK_UNARY_ACOS, 0, 0)
    case .atan: (MK_UNARY_ATAN, 0, 0)
    case .leakyRelu(let slope): (MK_UNARY_LEAKY_RELU, slope, 0)
    case .elu(let alpha): (MK_UNARY_ELU, alpha, 0)
    case .selu(let alpha, let gamma): (MK_UNARY_SELU, alpha, gamma)
    case .celu(let alpha) where alpha > 0: (MK_UNARY_CELU, alpha, 0)
    case .swish(let alpha) where alpha > 0: (MK_UNARY_SWISH, alpha, 0)
    case .clamp(let low, let high): (MK_UNARY_CLAMP, low, high)
    case .hardSigmoid(let alpha, let beta): (MK_UNARY_HARD_SIGMOID, alpha, beta)
    case .affine(let scale, let offset): (MK_UNARY_AFFINE, scale, offset)
    default: nil
    }
  }

  /// Elements that one thread takes at a time.
  var grain: Int {
    switch self {
    case .neg, .abs, .sqrt, .reciprocal, .relu, .hardSwish, .floor, .ceil, .round, .sign, .softsign,
      .leakyRelu, .thresholdedRelu, .shrink, .clamp, .hardSigmoid, .affine:
      1 << 15
    default: 1 << 13
    }
  }
}
