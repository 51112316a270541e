/// A number of each of some signals, which are transformed side by side: the same operations on each,
/// so the same bits as alone.
protocol FourierLanes {
  static var count: Int { get }
  static var zero: Self { get }
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func scaled(_ a: Self, _ factor: Double) -> Self
}

extension Double: FourierLanes {
  static var count: Int { 1 }
  @inline(__always) static func scaled(_ a: Double, _ factor: Double) -> Double { a * factor }
}

extension SIMD4<Double>: FourierLanes {
  static var count: Int { 4 }
  @inline(__always) static func scaled(_ a: Self, _ factor: Double) -> Self { a * factor }
}

/// Complex numbers as two arrays, of real and of imaginary parts.
struct FourierArray<V: FourierLanes> {
  var re: UnsafeMutablePointer<V>
  var im: UnsafeMutablePointer<V>

  @inline(__always)
  subscript(index: Int) -> FourierValue<V> {
    get { FourierValue(re: re[index], im: im[index]) }
    nonmutating set {
      re[index] = newValue.re
      im[index] = newValue.im
    }
  }
}

/// A complex number of each signal.
struct FourierValue<V: FourierLanes> {
  var re: V
  var im: V

  @inline(__always)
  static func + (a: Self, b: Self) -> Self { Self(re: a.re + b.re, im: a.im + b.im) }

  @inline(__always)
  static func - (a: Self, b: Self) -> Self { Self(re: a.re - b.re, im: a.im - b.im) }

  @inline(__always)
  static func * (a: Self, w: FourierRoot) -> Self {
    Self(
      re: V.scaled(a.re, w.re) - V.scaled(a.im, w.im),
      im: V.scaled(a.re, w.im) + V.scaled(a.im, w.re))
  }

  @inline(__always)
  func scaled(_ factor: Double) -> Self {
    Self(re: V.scaled(re, factor), im: V.scaled(im, factor))
  }

  /// Times -i.
  @inline(__always)
  var turnedBack: Self { Self(re: im, im: V.scaled(re, -1)) }
}

/// A complex number of absolute value 1.
struct FourierRoot: Sendable {
  var re: Double
  var im: Double

  init(re: Double, im: Double) {
    self.re = re
    self.im = im
  }

  /// e to the power of -2 pi i k / n, for 0 <= k < n <= 2^60: within two units in the last place, as the
  /// sine and cosine of at most an eighth of a turn.
  init(_ k: Int, of n: Int) {
    let (quarter, rest) = (4 * k).quotientAndRemainder(dividingBy: n)
    let isPast = 2 * rest > n
    let angle = Double(isPast ? n - rest : rest) * (Double.pi / 2) / Double(n)
    let (c, s) = (Double.cos(angle), Double.sin(angle))
    let (x, y) = isPast ? (s, c) : (c, s)
    switch quarter {
    case 0: self.init(re: x, im: -y)
    case 1: self.init(re: -y, im: -x)
    case 2: self.init(re: -x, im: y)
    default: self.init(re: y, im: x)
    }
  }

  var conjugate: FourierRoot { FourierRoot(re: re, im: -im) }
}
