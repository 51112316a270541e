import Glibc
import MartletCore

/// How a scattered value meets the one that is there.
package enum ScatterReduction: Sendable {
  case replace, add, multiply, max, min
}

/// Writes at computed indices.
package enum Scattering {
  /// dst at `offsets[i]` (elements) meets slice i of `updates`, slices of `slice` elements, in order.
  ///
  /// dst and updates are contiguous and of one dtype (not a 16-bit float unless replacing).
  package static func slices(
    _ updates: Tensor, toOffsets offsets: [Int], slice: Int, _ reduction: ScatterReduction,
    into dst: Tensor
  ) {
    let size = dst.dtype.wholeByteCount
    if case .replace = reduction {
      let bytes = slice * size
      guard bytes > 0 else { return }
      for (index, offset) in offsets.enumerated() {
        memcpy(dst.pointer + offset * size, updates.pointer + index * bytes, bytes)
      }
      return
    }
    dst.dtype.visit(
      ReducingScatter(
        offsets: offsets, slice: slice, reduction: reduction, updates: updates.pointer,
        dst: dst.pointer))
  }
}

private struct ReducingScatter: ElementVisitor {
  let offsets: [Int]
  let slice: Int
  let reduction: ScatterReduction
  let updates: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element>(_: T.Type) {
    let updates = updates.assumingMemoryBound(to: T.self)
    let dst = dst.assumingMemoryBound(to: T.self)
    @inline(__always) func each(_ f: (T, T) -> T) {
      for (index, offset) in offsets.enumerated() {
        for i in 0..<slice { dst[offset + i] = f(dst[offset + i], updates[index * slice + i]) }
      }
    }
    switch reduction {
    case .add: each { T.sum($0, $1) }
    case .multiply: each { T.product($0, $1) }
    case .max: each { T.greatest($0, $1) }
    case .min: each { T.least($0, $1) }
    case .replace: each { $1 }
    }
  }
}
