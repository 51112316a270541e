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

  /// dst at `indices[i]`, counted over `natural`, becomes element i of `src`; dst, of the same dtype,
  /// has extents no smaller. The first index that is out of range, or nil.
  package static func unpool(
    _ src: Tensor, indices: UnsafePointer<Int64>, natural: [Int], into dst: Tensor
  ) -> Int64? {
    let count = natural.reduce(1, *)
    for i in 0..<src.count where indices[i] < 0 || indices[i] >= count { return indices[i] }
    src.dtype.visitWidth(
      Unpooling(
        count: src.count, src: src.pointer, indices: indices, natural: natural, dst: dst.pointer,
        strides: dst.shape == natural ? nil : Shape.contiguousStrides(dst.shape)))
    return nil
  }
}

private struct Unpooling: IntegerVisitor {
  let count: Int
  let src: UnsafeMutableRawPointer
  let indices: UnsafePointer<Int64>
  let natural: [Int]
  let dst: UnsafeMutableRawPointer
  /// Of dst, where it is not of the shape that is counted over.
  let strides: [Int]?

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let (src, dst) = (src.assumingMemoryBound(to: T.self), dst.assumingMemoryBound(to: T.self))
    guard let strides else {
      for i in 0..<count { dst[Int(indices[i])] = src[i] }
      return
    }
    for i in 0..<count {
      var (rest, offset) = (Int(indices[i]), 0)
      for axis in natural.indices.reversed() {
        offset += rest % natural[axis] * strides[axis]
        rest /= natural[axis]
      }
      dst[offset] = src[i]
    }
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
