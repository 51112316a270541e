import Glibc
import MartletCore

/// What typed loops ask of an element: arithmetic that never traps.
package protocol Element: Comparable, Sendable, BitwiseCopyable {
  static var zero: Self { get }
  static var one: Self { get }
  /// The value that no other is below (-infinity, or the least integer).
  static var lowest: Self { get }
  static var highest: Self { get }
  /// Integers wrap.
  static func sum(_ a: Self, _ b: Self) -> Self
  static func difference(_ a: Self, _ b: Self) -> Self
  static func product(_ a: Self, _ b: Self) -> Self
  /// Integers truncate towards zero; by zero they give zero, and the least over -1 wraps.
  static func quotient(_ a: Self, _ b: Self) -> Self
  static func power(_ a: Self, _ b: Self) -> Self
  /// The remainder with the dividend's sign (C), and with the divisor's (Python). Integers modulo
  /// zero give zero.
  static func remainder(_ a: Self, _ b: Self) -> Self
  static func modulo(_ a: Self, _ b: Self) -> Self
  static func negated(_ a: Self) -> Self
  static func magnitude(_ a: Self) -> Self
  /// The integers' bit functions; a float, which no operator passes, stays as it is.
  static func bits(_ function: BinaryFunction, _ a: Self, _ b: Self) -> Self
  /// NaN if either is.
  static func least(_ a: Self, _ b: Self) -> Self
  static func greatest(_ a: Self, _ b: Self) -> Self
  var isNaNValue: Bool { get }
  var asDouble: Double { get }
  /// The low 64 bits of an integer; of a float, the integer that `Casting` makes of it.
  var asInt64: Int64 { get }
  static var isReal: Bool { get }
  /// From another element, as `Casting` converts.
  init<S: Element>(converting value: S)
}

extension Element where Self: FixedWidthInteger {
  package static var one: Self { 1 }
  package static var lowest: Self { .min }
  package static var highest: Self { .max }
  package static func sum(_ a: Self, _ b: Self) -> Self { a &+ b }
  package static func difference(_ a: Self, _ b: Self) -> Self { a &- b }
  package static func product(_ a: Self, _ b: Self) -> Self { a &* b }
  package static func quotient(_ a: Self, _ b: Self) -> Self {
    b == 0 ? 0 : a.dividedReportingOverflow(by: b).partialValue
  }
  package static func power(_ a: Self, _ b: Self) -> Self {
    if b < 0 {
      // Only 1 and -1 have integral inverses; the rest truncates to zero.
      if a == 1 { return 1 }
      return Self.isSigned && a == 0 &- 1 ? (b & 1 == 0 ? 1 : a) : 0
    }
    var result: Self = 1
    var base = a
    var exponent = b
    while exponent > 0 {
      if exponent & 1 == 1 { result = result &* base }
      base = base &* base
      exponent >>= 1
    }
    return result
  }
  package static func remainder(_ a: Self, _ b: Self) -> Self {
    b == 0 ? 0 : a.remainderReportingOverflow(dividingBy: b).partialValue
  }
  package static func modulo(_ a: Self, _ b: Self) -> Self {
    if b == 0 { return 0 }
    let rest = a.remainderReportingOverflow(dividingBy: b).partialValue
    return rest != 0 && (rest < 0) != (b < 0) ? rest &+ b : rest
  }
  package static func bits(_ function: BinaryFunction, _ a: Self, _ b: Self) -> Self {
    switch function {
    case .bitAnd: a & b
    case .bitOr: a | b
    case .bitXor: a ^ b
    // Swift's smart shifts: 0 (or the sign) beyond the width.
    // Swift shifts by a negative number the other way; ONNX shifts everything out.
    case .shiftLeft: b < 0 ? 0 : a << b
    case .shiftRight: b < 0 ? (a < 0 ? 0 &- 1 : 0) : a >> b
    default: a
    }
  }
  package static func negated(_ a: Self) -> Self { 0 &- a }
  package static func magnitude(_ a: Self) -> Self { a < 0 ? 0 &- a : a }
  package static func least(_ a: Self, _ b: Self) -> Self { b < a ? b : a }
  package static func greatest(_ a: Self, _ b: Self) -> Self { b > a ? b : a }
  package var isNaNValue: Bool { false }
  package var asDouble: Double { Double(self) }
  package var asInt64: Int64 { Int64(truncatingIfNeeded: self) }
  package static var isReal: Bool { false }
  @inline(__always)
  package init<S: Element>(converting value: S) {
    self = S.isReal ? Casting.integer(value.asDouble) : Self(truncatingIfNeeded: value.asInt64)
  }
}

extension Int8: Element {}
extension Int16: Element {}
extension Int32: Element {}
extension Int64: Element {}
extension UInt8: Element {}
extension UInt16: Element {}
extension UInt32: Element {}
extension UInt64: Element {}

extension Element where Self: RealElement {
  package static var one: Self { 1 }
  package static var lowest: Self { -.infinity }
  package static var highest: Self { .infinity }
  package static func sum(_ a: Self, _ b: Self) -> Self { a + b }
  package static func difference(_ a: Self, _ b: Self) -> Self { a - b }
  package static func product(_ a: Self, _ b: Self) -> Self { a * b }
  package static func quotient(_ a: Self, _ b: Self) -> Self { a / b }
  package static func modulo(_ a: Self, _ b: Self) -> Self {
    let rest = remainder(a, b)
    if rest == 0 { return b < 0 ? -0.0 : 0 }
    return (rest < 0) != (b < 0) ? rest + b : rest
  }
  package static func bits(_ function: BinaryFunction, _ a: Self, _ b: Self) -> Self { a }
  package static func negated(_ a: Self) -> Self { -a }
  package static func magnitude(_ a: Self) -> Self { a.magnitude }
  package static func least(_ a: Self, _ b: Self) -> Self { a < b || a != a ? a : b }
  package static func greatest(_ a: Self, _ b: Self) -> Self { a > b || a != a ? a : b }
  package var isNaNValue: Bool { self != self }
  package var asDouble: Double { Double(self) }
  package var asInt64: Int64 { Casting.integer(Double(self)) }
  package static var isReal: Bool { true }
  @inline(__always)
  package init<S: Element>(converting value: S) {
    if S.isReal {
      self.init(value.asDouble)
    } else if let wide = value as? UInt64 {
      // Above 2^63 the signed path below would change sign.
      self.init(wide)
    } else {
      self.init(value.asInt64)
    }
  }
}

/// Floating-point elements with the C library's functions.
package protocol RealElement: Element, BinaryFloatingPoint {
  static func exp(_ x: Self) -> Self
  static func expm1(_ x: Self) -> Self
  static func log(_ x: Self) -> Self
  static func log1p(_ x: Self) -> Self
  static func erf(_ x: Self) -> Self
  static func sin(_ x: Self) -> Self
  static func cos(_ x: Self) -> Self
  static func tan(_ x: Self) -> Self
  static func asin(_ x: Self) -> Self
  static func acos(_ x: Self) -> Self
  static func atan(_ x: Self) -> Self
  static func sinh(_ x: Self) -> Self
  static func cosh(_ x: Self) -> Self
  static func tanh(_ x: Self) -> Self
  static func asinh(_ x: Self) -> Self
  static func acosh(_ x: Self) -> Self
  static func atanh(_ x: Self) -> Self
}

extension Float: RealElement {
  package static func exp(_ x: Float) -> Float { expf(x) }
  package static func expm1(_ x: Float) -> Float { expm1f(x) }
  package static func log(_ x: Float) -> Float { logf(x) }
  package static func log1p(_ x: Float) -> Float { log1pf(x) }
  package static func erf(_ x: Float) -> Float { erff(x) }
  package static func sin(_ x: Float) -> Float { sinf(x) }
  package static func cos(_ x: Float) -> Float { cosf(x) }
  package static func tan(_ x: Float) -> Float { tanf(x) }
  package static func asin(_ x: Float) -> Float { asinf(x) }
  package static func acos(_ x: Float) -> Float { acosf(x) }
  package static func atan(_ x: Float) -> Float { atanf(x) }
  package static func sinh(_ x: Float) -> Float { sinhf(x) }
  package static func cosh(_ x: Float) -> Float { coshf(x) }
  package static func tanh(_ x: Float) -> Float { tanhf(x) }
  package static func asinh(_ x: Float) -> Float { asinhf(x) }
  package static func acosh(_ x: Float) -> Float { acoshf(x) }
  package static func atanh(_ x: Float) -> Float { atanhf(x) }
  package static func power(_ a: Float, _ b: Float) -> Float { powf(a, b) }
  package static func remainder(_ a: Float, _ b: Float) -> Float { fmodf(a, b) }
}

extension Double: RealElement {
  package static func exp(_ x: Double) -> Double { Glibc.exp(x) }
  package static func expm1(_ x: Double) -> Double { Glibc.expm1(x) }
  package static func log(_ x: Double) -> Double { Glibc.log(x) }
  package static func log1p(_ x: Double) -> Double { Glibc.log1p(x) }
  package static func erf(_ x: Double) -> Double { Glibc.erf(x) }
  package static func sin(_ x: Double) -> Double { Glibc.sin(x) }
  package static func cos(_ x: Double) -> Double { Glibc.cos(x) }
  package static func tan(_ x: Double) -> Double { Glibc.tan(x) }
  package static func asin(_ x: Double) -> Double { Glibc.asin(x) }
  package static func acos(_ x: Double) -> Double { Glibc.acos(x) }
  package static func atan(_ x: Double) -> Double { Glibc.atan(x) }
  package static func sinh(_ x: Double) -> Double { Glibc.sinh(x) }
  package static func cosh(_ x: Double) -> Double { Glibc.cosh(x) }
  package static func tanh(_ x: Double) -> Double { Glibc.tanh(x) }
  package static func asinh(_ x: Double) -> Double { Glibc.asinh(x) }
  package static func acosh(_ x: Double) -> Double { Glibc.acosh(x) }
  package static func atanh(_ x: Double) -> Double { Glibc.atanh(x) }
  package static func power(_ a: Double, _ b: Double) -> Double { Glibc.pow(a, b) }
  package static func remainder(_ a: Double, _ b: Double) -> Double { Glibc.fmod(a, b) }
}
