import MartletCore

/// How a value that a narrow float does not have is made one that it has.
package struct NarrowRounding: Sendable {
  /// Of float8e8m0, the power of two that a value between two becomes; ties of `nearest` go up.
  package enum Mode: String, Sendable, CaseIterable { case up, down, nearest }

  /// What is too large becomes the largest finite value; otherwise infinity, or NaN in types without
  /// one. Types that have neither saturate always.
  package var saturates = true
  package var mode = Mode.up

  package init() {}
}

/// A float of 8 bits or less: a sign, `exponentBits` and `mantissaBits`, from the highest bit down, with
/// denormals; or, as float8e8m0, a power of two alone. What its codes mean, and the code of a value.
///
/// Source: ONNX, "Float stored in 8 bits" and "4 bit types"; OCP Microscaling Formats 1.0.
package struct NarrowFormat: Sendable {
  private let mantissaBits: Int
  private let bias: Int
  private let signBit: UInt8
  /// The largest finite code, without the sign.
  private let greatest: UInt8
  /// What is beyond becomes this where it does not saturate; nil: it always does.
  private let beyond: UInt8?
  /// The code of NaN, without the sign; nil: there is none, and NaN becomes a zero.
  private let nan: UInt8?
  /// Whether the code of -0 is NaN, the only one.
  private let isUnsignedZero: Bool
  private let isPowerOfTwo: Bool
  /// The value of each code, as many as there are.
  package let values: [Float]

  /// The format of this dtype; nil: it is no narrow float.
  package static func of(_ dtype: DType) -> NarrowFormat? {
    switch dtype {
    case .float8e4m3fn: e4m3fn
    case .float8e4m3fnuz: e4m3fnuz
    case .float8e5m2: e5m2
    case .float8e5m2fnuz: e5m2fnuz
    case .float8e8m0: e8m0
    case .float6e2m3: e2m3
    case .float6e3m2: e3m2
    case .float4e2m1: e2m1
    default: nil
    }
  }

  private static let e4m3fn = NarrowFormat(
    mantissaBits: 3, bias: 7, signBit: 0x80, greatest: 0x7E, beyond: 0x7F, nan: 0x7F)
  private static let e5m2 = NarrowFormat(
    mantissaBits: 2, bias: 15, signBit: 0x80, greatest: 0x7B, beyond: 0x7C, nan: 0x7E)
  private static let e4m3fnuz = NarrowFormat(
    mantissaBits: 3, bias: 8, signBit: 0x80, greatest: 0x7F, beyond: 0x80, nan: 0x80)
  private static let e5m2fnuz = NarrowFormat(
    mantissaBits: 2, bias: 16, signBit: 0x80, greatest: 0x7F, beyond: 0x80, nan: 0x80)
  private static let e2m3 = NarrowFormat(
    mantissaBits: 3, bias: 1, signBit: 0x20, greatest: 0x1F, beyond: nil, nan: nil)
  private static let e3m2 = NarrowFormat(
    mantissaBits: 2, bias: 3, signBit: 0x20, greatest: 0x1F, beyond: nil, nan: nil)
  private static let e2m1 = NarrowFormat(
    mantissaBits: 1, bias: 1, signBit: 8, greatest: 7, beyond: nil, nan: nil)
  private static let e8m0 = NarrowFormat(
    mantissaBits: 0, bias: 127, signBit: 0, greatest: 0xFE, beyond: 0xFF, nan: 0xFF)

  private init(
    mantissaBits: Int, bias: Int, signBit: UInt8, greatest: UInt8, beyond: UInt8?, nan: UInt8?
  ) {
    self.mantissaBits = mantissaBits
    self.bias = bias
    self.signBit = signBit
    self.greatest = greatest
    self.beyond = beyond
    self.nan = nan
    isUnsignedZero = nan == signBit
    isPowerOfTwo = signBit == 0
    let codes = signBit == 0 ? 256 : 2 * Int(signBit)
    let isUnsignedZero = isUnsignedZero
    values = (0..<codes).map { code in
      let code = UInt8(code)
      if signBit == 0 {
        return code == 0xFF ? .nan : Float(sign: .plus, exponent: Int(code) - bias, significand: 1)
      }
      let (sign, magnitude) = (code & signBit, code & (signBit - 1))
      if isUnsignedZero ? code == signBit : magnitude > greatest {
        return beyond != nan && magnitude == beyond
          ? (sign == 0 ? .infinity : -.infinity) : (sign == 0 ? .nan : -.nan)
      }
      let field = Int(magnitude >> UInt8(mantissaBits))
      let fraction = Int(magnitude) & (1 << mantissaBits - 1)
      let significand = Float(field == 0 ? fraction : fraction + 1 << mantissaBits)
      let value = Float(
        sign: .plus, exponent: max(field, 1) - bias - mantissaBits, significand: significand)
      return sign == 0 ? value : -value
    }
  }

  /// The code of the value nearest to `value`, ties to the even code.
  @inline(__always)
  package func code(_ value: Float, _ rounding: NarrowRounding) -> UInt8 {
    if isPowerOfTwo { return powerOfTwo(value, rounding) }
    let bits = value.bitPattern
    let sign = bits >> 31 == 0 ? 0 : signBit
    let magnitude = bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 {
      // Without a NaN it is a zero of the other sign, as ml_dtypes has it.
      guard let nan else { return sign ^ signBit }
      return nan | sign
    }
    let exponent = Int(magnitude >> 23) - 127
    let least = 1 - bias
    var code: Int
    if exponent >= least {
      let shift = 23 - mantissaBits
      let half = Int(magnitude) + (1 << (shift - 1)) - 1 + (Int(magnitude) >> shift & 1)
      code = half >> shift - (127 - bias) << mantissaBits
    } else {
      // A denormal: in units of its last place.
      let shift = 23 - mantissaBits + least - exponent
      let significand = Int(magnitude & 0x7F_FFFF) | (magnitude >= 0x80_0000 ? 0x80_0000 : 0)
      code =
        shift > 25
        ? 0 : (significand + (1 << (shift - 1)) - 1 + (significand >> shift & 1)) >> shift
    }
    if code > Int(greatest) {
      guard !rounding.saturates, let beyond else { return greatest | sign }
      return beyond | sign
    }
    if isUnsignedZero && code == 0 { return 0 }
    return UInt8(code) | sign
  }

  /// The exponent of the power of two that |value| becomes. Zero is below the least.
  private func powerOfTwo(_ value: Float, _ rounding: NarrowRounding) -> UInt8 {
    let magnitude = value.magnitude
    if magnitude.isNaN { return 0xFF }
    if magnitude == 0 { return rounding.saturates ? 0 : 0xFF }
    if magnitude == .infinity { return rounding.saturates ? greatest : 0xFF }
    let goesUp =
      switch rounding.mode {
      case .up: magnitude.significand > 1
      case .nearest: magnitude.significand >= 1.5
      case .down: false
      }
    let code = Int(magnitude.exponent) + bias + (goesUp ? 1 : 0)
    if code < 0 { return rounding.saturates ? 0 : 0xFF }
    if code > Int(greatest) { return rounding.saturates ? greatest : 0xFF }
    return UInt8(code)
  }
}
