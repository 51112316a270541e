import MartletCore

/// float16 and bfloat16 in plain arithmetic: for single values, and where no kernel exists.
package enum HalfFormats {
  /// The value of 16 bits in the format `dtype`.
  package static func float(_ bits: UInt16, _ dtype: DType) -> Float {
    if dtype == .bfloat16 { return Float(bitPattern: UInt32(bits) << 16) }
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 31
    let fraction = UInt32(bits) & 0x3FF
    if exponent == 31 {
      return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    }
    if exponent == 0 {
      let magnitude = Float(fraction) * 0x1p-24
      return sign == 0 ? magnitude : -magnitude
    }
    return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }

  /// `value` rounded to nearest even in the format `dtype`; NaN is quieted.
  package static func bits(_ value: Float, _ dtype: DType) -> UInt16 {
    let pattern = value.bitPattern
    if dtype == .bfloat16 {
      if value != value { return UInt16(truncatingIfNeeded: pattern >> 16) | 0x40 }
      return UInt16(truncatingIfNeeded: (pattern &+ 0x7FFF &+ (pattern >> 16 & 1)) >> 16)
    }
    let sign = UInt16(truncatingIfNeeded: pattern >> 16) & 0x8000
    let magnitude = pattern & 0x7FFF_FFFF
    if value != value { return sign | 0x7E00 | UInt16(truncatingIfNeeded: magnitude >> 13) & 0x3FF }
    if magnitude >= 0x4780_0000 { return sign | 0x7C00 }
    if magnitude < 0x3880_0000 {
      // Denormal: the sum's low bits are the rounded count of 2^-24.
      let shifted = (Float(bitPattern: magnitude) + 0.5).bitPattern &- Float(0.5).bitPattern
      return sign | UInt16(truncatingIfNeeded: shifted)
    }
    let rounded = magnitude &+ 0xFFF &+ (magnitude >> 13 & 1)
    return sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) >> 13)
  }
}
