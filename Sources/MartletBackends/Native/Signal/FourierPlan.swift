import MartletCore

/// What a discrete Fourier transform of one length needs beside the signal, made once for many.
///
/// Lengths whose prime factors are at most 13 are transformed by Stockham's mixed radix, others by
/// Bluestein's algorithm as a convolution of a power of two. Everything is float64, and a function of
/// the length alone. Complexity: O(n log n); the tables take 16 bytes for each number of `workLength`.
final class FourierPlan: Sendable {
  let length: Int
  private let passes: [Pass]
  private let chirp: Chirp?

  /// One step of the mixed radix: `count` groups of `radix` numbers.
  private struct Pass: Sendable {
    let radix: Int
    let count: Int
    /// For group p the powers 1 ..< radix of its root.
    let roots: [FourierRoot]
    /// The roots of unity of the radix itself.
    let units: [FourierRoot]
  }

  /// Bluestein's: the transform as a convolution with `roots`, done in `plan`'s length.
  private struct Chirp: Sendable {
    let plan: FourierPlan
    /// e to the power of -pi i k^2 / n.
    let roots: [FourierRoot]
    /// The transform of the wrapped conjugates over the length of `plan`.
    let spectrum: [FourierRoot]
  }

  /// The most numbers that a signal has.
  static let longest = 1 << 28
  private static let largestRadix = 13

  /// Numbers that are worked on for a signal of `length`.
  static func workLength(_ length: Int) -> Int {
    factors(length) == nil ? chirpLength(length) : length
  }

  var workLength: Int { chirp?.plan.length ?? length }

  init(_ length: Int) {
    self.length = length
    if let factors = Self.factors(length) {
      passes = Self.passes(length, factors)
      chirp = nil
    } else {
      passes = []
      chirp = Self.chirp(length)
    }
  }

  private static func chirpLength(_ length: Int) -> Int {
    var result = 1
    while result < 2 * length - 1 { result *= 2 }
    return result
  }

  /// The radices of a length's passes, fours first; nil where a prime factor is too large.
  private static func factors(_ length: Int) -> [Int]? {
    var rest = length
    var result: [Int] = []
    for radix in [4, 2, 3, 5, 7, 11, 13] {
      while rest % radix == 0 && rest > 1 {
        result.append(radix)
        rest /= radix
      }
    }
    return rest <= 1 ? result : nil
  }

  private static func passes(_ length: Int, _ factors: [Int]) -> [Pass] {
    var rest = length
    var result: [Pass] = []
    for radix in factors {
      let count = rest / radix
      var roots: [FourierRoot] = []
      roots.reserveCapacity(count * (radix - 1))
      for p in 0..<count {
        for k in 1..<radix { roots.append(FourierRoot(p * k, of: rest)) }
      }
      result.append(
        Pass(
          radix: radix, count: count, roots: roots,
          units: (0..<radix).map { FourierRoot($0, of: radix) }))
      rest = count
    }
    return result
  }

  private static func chirp(_ length: Int) -> Chirp {
    let plan = FourierPlan(chirpLength(length))
    let size = plan.length
    var roots: [FourierRoot] = []
    roots.reserveCapacity(length)
    for k in 0..<length { roots.append(FourierRoot(k * k % (2 * length), of: 2 * length)) }
    var memory = [Double](repeating: 0, count: 4 * size)
    var spectrum: [FourierRoot] = []
    spectrum.reserveCapacity(size)
    memory.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      let array = FourierArray(re: base, im: base + size)
      for (k, root) in roots.enumerated() {
        let value = FourierValue<Double>(re: root.re, im: -root.im)
        array[k] = value
        if k > 0 { array[size - k] = value }
      }
      let result = plan.run(array, FourierArray(re: base + 2 * size, im: base + 3 * size))
      // The way back divides by the size.
      let factor = 1 / Double(size)
      for k in 0..<size {
        spectrum.append(FourierRoot(re: result.re[k] * factor, im: result.im[k] * factor))
      }
    }
    return Chirp(plan: plan, roots: roots, spectrum: spectrum)
  }

  /// Transforms the first `length` numbers of `source`; both arrays have `workLength`. The result is in the
  /// one that is returned.
  func run<V: FourierLanes>(
    _ source: FourierArray<V>, _ other: FourierArray<V>
  ) -> FourierArray<V> {
    if let chirp { return run(chirp, source, other) }
    var (from, to) = (source, other)
    var stride = 1
    for pass in passes {
      run(pass, stride, from, to)
      stride *= pass.radix
      (from, to) = (to, from)
    }
    return from
  }

  private func run<V: FourierLanes>(
    _ chirp: Chirp, _ source: FourierArray<V>, _ other: FourierArray<V>
  ) -> FourierArray<V> {
    let size = chirp.plan.length
    for k in 0..<length { source[k] = source[k] * chirp.roots[k] }
    for k in length..<size { source[k] = FourierValue(re: .zero, im: .zero) }
    let there = chirp.plan.run(source, other)
    // Real and imaginary parts exchanged before and after, a transform goes the other way.
    for k in 0..<size {
      let product = there[k] * chirp.spectrum[k]
      there[k] = FourierValue(re: product.im, im: product.re)
    }
    let back = chirp.plan.run(there, there.re == source.re ? other : source)
    for k in 0..<length {
      back[k] = FourierValue(re: back.im[k], im: back.re[k]) * chirp.roots[k]
    }
    return back
  }

  private func run<V: FourierLanes>(
    _ pass: Pass, _ stride: Int, _ x: FourierArray<V>, _ y: FourierArray<V>
  ) {
    pass.roots.withUnsafeBufferPointer { roots in
      switch pass.radix {
      case 2: Self.two(pass.count, stride, roots, x, y)
      case 3: Self.three(pass.count, stride, roots, x, y)
      case 4: Self.four(pass.count, stride, roots, x, y)
      default:
        pass.units.withUnsafeBufferPointer { units in
          Self.any(pass.radix, pass.count, stride, roots, units, x, y)
        }
      }
    }
  }

  private typealias Roots = UnsafeBufferPointer<FourierRoot>

  private static func two<V: FourierLanes>(
    _ count: Int, _ stride: Int, _ roots: Roots, _ x: FourierArray<V>, _ y: FourierArray<V>
  ) {
    for p in 0..<count {
      let w = roots[p]
      let (from, to) = (stride &* p, stride &* 2 &* p)
      for q in 0..<stride {
        let (a, b) = (x[from &+ q], x[from &+ stride &* count &+ q])
        y[to &+ q] = a + b
        y[to &+ stride &+ q] = (a - b) * w
      }
    }
  }

  private static func three<V: FourierLanes>(
    _ count: Int, _ stride: Int, _ roots: Roots, _ x: FourierArray<V>, _ y: FourierArray<V>
  ) {
    let half = 0.866_025_403_784_438_6  // sin(pi / 3)
    let apart = stride &* count
    for p in 0..<count {
      let (w1, w2) = (roots[2 &* p], roots[2 &* p &+ 1])
      let (from, to) = (stride &* p, stride &* 3 &* p)
      for q in 0..<stride {
        let a = x[from &+ q]
        let (b, c) = (x[from &+ apart &+ q], x[from &+ 2 &* apart &+ q])
        let sum = b + c
        let middle = a - sum.scaled(0.5)
        let turned = (b - c).scaled(half).turnedBack
        y[to &+ q] = a + sum
        y[to &+ stride &+ q] = (middle + turned) * w1
        y[to &+ 2 &* stride &+ q] = (middle - turned) * w2
      }
    }
  }

  private static func four<V: FourierLanes>(
    _ count: Int, _ stride: Int, _ roots: Roots, _ x: FourierArray<V>, _ y: FourierArray<V>
  ) {
    let apart = stride &* count
    for p in 0..<count {
      let (w1, w2, w3) = (roots[3 &* p], roots[3 &* p &+ 1], roots[3 &* p &+ 2])
      let (from, to) = (stride &* p, stride &* 4 &* p)
      for q in 0..<stride {
        let (a, b) = (x[from &+ q], x[from &+ apart &+ q])
        let (c, d) = (x[from &+ 2 &* apart &+ q], x[from &+ 3 &* apart &+ q])
        let (even, odd) = (a + c, b + d)
        let (difference, turned) = (a - c, (b - d).turnedBack)
        y[to &+ q] = even + odd
        y[to &+ stride &+ q] = (difference + turned) * w1
        y[to &+ 2 &* stride &+ q] = (even - odd) * w2
        y[to &+ 3 &* stride &+ q] = (difference - turned) * w3
      }
    }
  }

  private static func any<V: FourierLanes>(
    _ radix: Int, _ count: Int, _ stride: Int, _ roots: Roots, _ units: Roots,
    _ x: FourierArray<V>, _ y: FourierArray<V>
  ) {
    let apart = stride &* count
    for p in 0..<count {
      let (from, to) = (stride &* p, stride &* radix &* p)
      for k in 0..<radix {
        let w = k == 0 ? FourierRoot(re: 1, im: 0) : roots[p &* (radix &- 1) &+ k &- 1]
        for q in 0..<stride {
          var sum = x[from &+ q]
          var unit = 0
          for j in 1..<radix {
            unit &+= k
            if unit >= radix { unit &-= radix }
            sum = sum + x[from &+ j &* apart &+ q] * units[unit]
          }
          y[to &+ k &* stride &+ q] = sum * w
        }
      }
    }
  }
}
