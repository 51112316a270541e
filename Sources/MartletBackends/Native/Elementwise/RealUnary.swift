import MartletCore

/// The functions in plain arithmetic and the C library: f64, and f32 where there is no kernel.
enum RealUnary {
  static func run<T: RealElement>(
    _ function: UnaryFunction, _ count: Int, _ src: UnsafePointer<T>, _ dst: UnsafeMutablePointer<T>
  ) {
    @inline(__always) func each(_ f: (T) -> T) {
      for i in 0..<count { dst[i] = f(src[i]) }
    }
    switch function {
    case .neg: each { -$0 }
    case .abs: each { $0.magnitude }
    case .sqrt: each { $0.squareRoot() }
    case .reciprocal: each { 1 / $0 }
    case .exp: each { T.exp($0) }
    case .log: each { T.log($0) }
    case .tanh: each { T.tanh($0) }
    case .erf: each { T.erf($0) }
    case .sigmoid: each { sigmoid($0) }
    case .gelu: each { 0.5 * $0 * (1 + T.erf($0 * T(0.70710678118654752440))) }
    case .geluTanh:
      each { x in
        0.5 * x * (1 + T.tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)))
      }
    case .silu: each { $0 * sigmoid($0) }
    case .relu: each { $0 < 0 ? 0 : $0 }
    case .hardSwish: each { $0 * clamp($0 / 6 + 0.5, 0, 1) }
    case .softplus: each { softplus($0) }
    case .floor: each { $0.rounded(.down) }
    case .ceil: each { $0.rounded(.up) }
    case .round: each { $0.rounded(.toNearestOrEven) }
    case .sin: each { T.sin($0) }
    case .cos: each { T.cos($0) }
    case .tan: each { T.tan($0) }
    case .asin: each { T.asin($0) }
    case .acos: each { T.acos($0) }
    case .atan: each { T.atan($0) }
    case .sinh: each { T.sinh($0) }
    case .cosh: each { T.cosh($0) }
    case .asinh: each { T.asinh($0) }
    case .acosh: each { T.acosh($0) }
    case .atanh: each { T.atanh($0) }
    case .sign: each { $0 > 0 ? 1 : ($0 < 0 ? -1 : $0) }
    case .softsign: each { $0 / (1 + $0.magnitude) }
    case .mish: each { $0 * T.tanh(softplus($0)) }
    case .leakyRelu(let slope):
      let slope = T(slope)
      each { $0 < 0 ? slope * $0 : $0 }
    case .elu(let alpha):
      let alpha = T(alpha)
      each { $0 < 0 ? alpha * T.expm1($0) : $0 }
    case .selu(let alpha, let gamma):
      let (alpha, gamma) = (T(alpha), T(gamma))
      each { $0 < 0 ? gamma * (alpha * T.expm1($0)) : gamma * $0 }
    case .celu(let alpha):
      let alpha = T(alpha)
      each { $0 < 0 ? alpha * T.expm1($0 / alpha) : $0 }
    case .thresholdedRelu(let alpha):
      let alpha = T(alpha)
      each { $0 > alpha ? $0 : 0 }
    case .shrink(let lambda, let bias):
      let (lambda, bias) = (T(lambda), T(bias))
      each { $0 < -lambda ? $0 + bias : ($0 > lambda ? $0 - bias : 0) }
    case .swish(let alpha):
      let alpha = T(alpha)
      each { $0 * sigmoid(alpha * $0) }
    case .clamp(let low, let high):
      let (low, high) = (T(low), T(high))
      each { clamp($0, low, high) }
    case .hardSigmoid(let alpha, let beta):
      let (alpha, beta) = (T(alpha), T(beta))
      each { clamp(alpha * $0 + beta, 0, 1) }
    case .affine(let scale, let offset):
      let (scale, offset) = (T(scale), T(offset))
      each { scale * $0 + offset }
    }
  }

  @inline(__always)
  private static func sigmoid<T: RealElement>(_ x: T) -> T { 1 / (1 + T.exp(-x)) }

  @inline(__always)
  private static func softplus<T: RealElement>(_ x: T) -> T {
    x > 0 ? x + T.log1p(T.exp(-x)) : T.log1p(T.exp(x))
  }

  @inline(__always)
  private static func clamp<T: RealElement>(_ x: T, _ low: T, _ high: T) -> T {
    let raised = x < low ? low : x
    return raised > high ? high : raised
  }
}
