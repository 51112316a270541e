import MartletCore

/// Tensors made from a rule.
package enum Generating {
  /// dst[i] = start + i * delta in dst's dtype (no 16-bit float); start and delta are scalars of it.
  package static func ramp(_ dst: Tensor, start: Tensor, delta: Tensor) {
    dst.dtype.visit(
      Ramp(count: dst.count, dst: dst.pointer, start: start.pointer, delta: delta.pointer))
  }

  /// dst[i], float64 and contiguous: the sum of coefficients[k] * cos(2 pi k i / turn), that of
  /// k = 0 last; half a turn from the start where `turn` is 0. The coefficients are few.
  package static func cosines(_ coefficients: [Double], turn: Int, into dst: Tensor) {
    let out = dst.typed(Double.self)
    for i in 0..<dst.count {
      var sum = 0.0
      for k in 1..<max(coefficients.count, 1) {
        let cosine =
          turn > 0 ? FourierRoot(k * i % turn, of: turn).re : FourierRoot(k % 2, of: 2).re
        sum += coefficients[k] * cosine
      }
      out[i] = sum + (coefficients.first ?? 0)
    }
  }

  /// dst[i] over the first axis of the contiguous `indices` as int64 coordinates of the elements of
  /// the contiguous `src` that are not zero: dst is [rank, number of them].
  package static func coordinates(
    ofNonZero positions: [Int], shape: [Int], into dst: Tensor
  ) {
    let out = dst.typed(Int64.self)
    for (column, position) in positions.enumerated() {
      var rest = position
      for axis in shape.indices.reversed() {
        out[axis * positions.count + column] = Int64(rest % shape[axis])
        rest /= shape[axis]
      }
    }
  }

  /// Positions of the elements of the contiguous `src` (no 16-bit float) that are not zero.
  package static func nonZeroPositions(_ src: Tensor) -> [Int] {
    var positions: [Int] = []
    withUnsafeMutablePointer(to: &positions) { pointer in
      src.dtype.visit(NonZeros(count: src.count, src: src.pointer, positions: pointer))
    }
    return positions
  }
}

private struct Ramp: ElementVisitor {
  let count: Int
  let dst: UnsafeMutableRawPointer
  let start: UnsafeMutableRawPointer
  let delta: UnsafeMutableRawPointer

  func visit<T: Element>(_: T.Type) {
    let out = dst.assumingMemoryBound(to: T.self)
    let start = start.assumingMemoryBound(to: T.self)[0]
    let delta = delta.assumingMemoryBound(to: T.self)[0]
    for i in 0..<count { out[i] = T.sum(start, T.product(T(converting: Int64(i)), delta)) }
  }
}

private struct NonZeros: ElementVisitor {
  let count: Int
  let src: UnsafeMutableRawPointer
  let positions: UnsafeMutablePointer<[Int]>

  func visit<T: Element>(_: T.Type) {
    let values = src.assumingMemoryBound(to: T.self)
    for i in 0..<count where values[i] != T.zero { positions.pointee.append(i) }
  }
}
