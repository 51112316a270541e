import MartletCore

/// Discrete Fourier transforms of many lines of a tensor.
///
/// In float64, with one rounding at the end, in an order of operations that is a function of the length
/// alone: a line's bits do not depend on the others. Real signals of even length are transformed as
/// complex ones of half of it.
package struct FourierTransform {
  /// What is made of each line.
  package enum Kind: Sendable {
    /// n complex numbers.
    case complex
    /// The first n / 2 + 1 of them.
    case oneSided
    /// n real numbers, the inverse of oneSided.
    case real
  }

  /// Where the lines lie: line i * inner + j begins at i * outerStride + j * innerStride, its numbers
  /// `step` apart.
  package struct Lines {
    package var outerStride: Int
    package var innerStride: Int
    package var step: Int

    package init(outerStride: Int, innerStride: Int, step: Int) {
      self.outerStride = outerStride
      self.innerStride = innerStride
      self.step = step
    }
  }

  package let length: Int
  package let isInverse: Bool
  package let kind: Kind
  /// Whether each number of src is a real and an imaginary part, one after the other.
  package let isComplex: Bool
  private let halves: Bool
  private let plan: FourierPlan
  /// For k up to half of an even length the roots that join its two halves.
  private let joints: [FourierRoot]

  /// The most numbers in a line.
  package static let longest = FourierPlan.longest

  /// Four times so many numbers of float64 are more than the tables and one thread's work take.
  package static func room(_ length: Int) -> Int { 8 * FourierPlan.workLength(length) }

  package init(length: Int, isInverse: Bool, kind: Kind, isComplex: Bool) {
    self.length = length
    self.isInverse = isInverse
    self.kind = kind
    self.isComplex = isComplex
    halves = !isInverse && !isComplex && length % 2 == 0
    plan = FourierPlan(halves ? length / 2 : length)
    joints = halves ? (0...length / 2).map { FourierRoot($0, of: length) } : []
  }

  /// Numbers in a line of the result.
  package var resultLength: Int { kind == .oneSided ? length / 2 + 1 : length }

  /// Transforms outer x inner lines of which `count` numbers are there, the rest being 0, each multiplied
  /// by that of `window` (float64). src and dst are float32 or float64.
  ///
  /// - Throws: `outOfMemory`.
  package func run(
    outer: Int, inner: Int, count: Int, src: Tensor, at from: Lines, dst: Tensor, at to: Lines,
    window: UnsafePointer<Double>? = nil, pool: ThreadPool
  ) throws(MartletError) {
    let lines = outer * inner
    let lanes = lines == 1 ? 1 : 4
    let groups = (lines + lanes - 1) / lanes
    let size = plan.workLength
    let nanoseconds = Double(lines) * Double(size) * 8
    let job = LineJob(
      inner: inner, count: min(count, length), src: src, from: from, dst: dst, to: to,
      window: window)
    let hasMemory = WorkItems.run(
      groups, isParallel: pool.threadCount(forNanoseconds: Int(min(nanoseconds, 1e15))) > 1,
      on: pool, scratchBytes: 32 * size * lanes
    ) { group, scratch in
      let range = group * lanes..<min((group + 1) * lanes, lines)
      if lanes == 1 {
        transform(job, range, scratch.assumingMemoryBound(to: Double.self))
      } else {
        transform(job, range, scratch.assumingMemoryBound(to: SIMD4<Double>.self))
      }
    }
    guard hasMemory else {
      throw MartletError(.outOfMemory, "no memory for a transform of \(length) numbers")
    }
  }

  private func transform<V: FourierLanes>(
    _ job: LineJob, _ range: Range<Int>, _ scratch: UnsafeMutablePointer<V>
  ) {
    let size = plan.workLength
    let array = FourierArray(re: scratch, im: scratch + size)
    let lanes = V.count
    let re = UnsafeMutableRawPointer(array.re).assumingMemoryBound(to: Double.self)
    let im = UnsafeMutableRawPointer(array.im).assumingMemoryBound(to: Double.self)
    if range.count < lanes {
      re.update(repeating: 0, count: plan.length * lanes)
      im.update(repeating: 0, count: plan.length * lanes)
    }
    for (lane, line) in range.enumerated() {
      let place = FourierPlace(re: re + lane, im: im + lane, stride: lanes)
      if job.src.dtype == .float64 {
        read(job.signal(line, Double.self), place)
      } else {
        read(job.signal(line, Float.self), place)
      }
    }
    var result = plan.run(array, FourierArray(re: scratch + 2 * size, im: scratch + 3 * size))
    if isInverse { swap(&result.re, &result.im) }
    let resultRe = UnsafeMutableRawPointer(result.re).assumingMemoryBound(to: Double.self)
    let resultIm = UnsafeMutableRawPointer(result.im).assumingMemoryBound(to: Double.self)
    for (lane, line) in range.enumerated() {
      let place = FourierPlace(re: resultRe + lane, im: resultIm + lane, stride: lanes)
      if job.dst.dtype == .float64 {
        write(place, job.target(line, Double.self), job.to.step)
      } else {
        write(place, job.target(line, Float.self), job.to.step)
      }
    }
  }

  /// Puts a signal in its lane, real and imaginary parts exchanged for the way back.
  private func read<T: RealElement>(_ signal: FourierSignal<T>, _ place: FourierPlace) {
    if halves {
      for k in 0..<length / 2 {
        place.set(k, signal.re(2 &* k), signal.re(2 &* k &+ 1))
      }
    } else if kind == .real {
      // The other half are the conjugates; what is its own has no imaginary part.
      place.set(0, 0, signal.re(0))
      for k in 1..<max(length, 1) {
        let isOwn = 2 &* k == length
        let (index, sign) = 2 &* k <= length ? (k, 1.0) : (length &- k, -1.0)
        place.set(k, isOwn ? 0 : sign * signal.im(index, isComplex), signal.re(index))
      }
    } else if isInverse {
      for k in 0..<length { place.set(k, signal.im(k, isComplex), signal.re(k)) }
    } else {
      for k in 0..<length { place.set(k, signal.re(k), signal.im(k, isComplex)) }
    }
  }

  private func write<T: RealElement>(
    _ place: FourierPlace, _ dst: UnsafeMutablePointer<T>, _ step: Int
  ) {
    if halves { return writeJoined(place, dst, step) }
    let n = Double(length)
    for k in 0..<resultLength {
      let (re, im) = place.get(k)
      let out = dst + k &* step
      out[0] = T(isInverse ? re / n : re)
      if kind != .real { out[1] = T(isInverse ? im / n : im) }
    }
  }

  /// The transform of 2h real numbers from that of h complex ones, Z: (Z[k] + conj Z[h - k]) / 2 less i
  /// root(k) (Z[k] - conj Z[h - k]) / 2, and the conjugates of these.
  private func writeJoined<T: RealElement>(
    _ place: FourierPlace, _ dst: UnsafeMutablePointer<T>, _ step: Int
  ) {
    let half = length / 2
    joints.withUnsafeBufferPointer { joints in
      for k in 0...half {
        let a = place.get(k == half ? 0 : k)
        let b = place.get(k == 0 ? 0 : half &- k)
        let (evenRe, evenIm) = ((a.re + b.re) / 2, (a.im - b.im) / 2)
        let (oddRe, oddIm) = ((a.im + b.im) / 2, (b.re - a.re) / 2)
        let w = joints[k]
        let re = evenRe + (oddRe * w.re - oddIm * w.im)
        let im = evenIm + (oddRe * w.im + oddIm * w.re)
        dst[k &* step] = T(re)
        dst[k &* step &+ 1] = T(im)
        if kind == .complex, k > 0, k < half {
          dst[(length &- k) &* step] = T(re)
          dst[(length &- k) &* step &+ 1] = T(-im)
        }
      }
    }
  }
}

/// Lines of a tensor and where they go.
private struct LineJob {
  let inner: Int
  let count: Int
  let src: Tensor
  let from: FourierTransform.Lines
  let dst: Tensor
  let to: FourierTransform.Lines
  let window: UnsafePointer<Double>?

  func signal<T>(_ line: Int, _: T.Type) -> FourierSignal<T> {
    let (i, j) = line.quotientAndRemainder(dividingBy: inner)
    return FourierSignal(
      elements: src.typed(T.self) + i * from.outerStride + j * from.innerStride,
      step: from.step, count: count, window: window)
  }

  func target<T>(_ line: Int, _: T.Type) -> UnsafeMutablePointer<T> {
    let (i, j) = line.quotientAndRemainder(dividingBy: inner)
    return dst.typed(T.self) + i * to.outerStride + j * to.innerStride
  }
}

/// The numbers of one line of a tensor.
private struct FourierSignal<T: RealElement> {
  let elements: UnsafePointer<T>
  let step: Int
  let count: Int
  let window: UnsafePointer<Double>?

  @inline(__always)
  func re(_ index: Int) -> Double { value(index, 0) }

  @inline(__always)
  func im(_ index: Int, _ isComplex: Bool) -> Double { isComplex ? value(index, 1) : 0 }

  @inline(__always)
  private func value(_ index: Int, _ part: Int) -> Double {
    guard index < count else { return 0 }
    let value = Double(elements[index &* step &+ part])
    return window.map { value * $0[index] } ?? value
  }
}

/// One signal's lane in arrays of several.
private struct FourierPlace {
  let re: UnsafeMutablePointer<Double>
  let im: UnsafeMutablePointer<Double>
  let stride: Int

  @inline(__always)
  func set(_ index: Int, _ real: Double, _ imaginary: Double) {
    re[index &* stride] = real
    im[index &* stride] = imaginary
  }

  @inline(__always)
  func get(_ index: Int) -> (re: Double, im: Double) {
    (re[index &* stride], im[index &* stride])
  }
}
