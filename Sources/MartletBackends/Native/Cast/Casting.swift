import MartletCore
import MartletKernels

/// Conversion between dtypes.
///
/// To floats: round to nearest even, NaN and infinities kept. Between integers: the low bits. To
/// bool: whether the value is not zero (NaN is not). From floats to integers, which C leaves
/// undefined outside the range: truncation towards zero to 64 bits, saturating, NaN to 0; int32,
/// int64 and uint64 saturate, the narrower and uint32 keep the low bits (so -1.0 is 255 as uint8).
package enum Casting {
  private static let grain = 1 << 15
  /// Elements per stage of a conversion through float32: 2 KiB stay in L1.
  private static let stage = 512

  /// Converts `src` to `dst`'s dtype; `dst` is contiguous and of the same shape.
  package static func cast(_ src: Tensor, into dst: Tensor, _ workspace: Workspace)
    throws(MartletError)
  {
    if src.dtype == dst.dtype && src.dtype != .bool {
      Copying.copy(src, into: dst, workspace)
      return
    }
    let dense = try workspace.contiguous(src)
    defer { dense.keepAlive() }
    let from = dense.pointer
    let to = dst.pointer
    let sourceSize = src.dtype.byteCount
    let targetSize = dst.dtype.byteCount
    let count = dst.count
    let chunks = (count + grain - 1) / grain
    workspace.pool.parallelFor(chunks) { chunk in
      let start = chunk * grain
      convert(
        min(grain, count - start), from + start * sourceSize, src.dtype, to + start * targetSize,
        dst.dtype)
    }
  }

  /// Converts `count` contiguous elements.
  static func convert(
    _ count: Int, _ src: UnsafeMutableRawPointer, _ source: DType, _ dst: UnsafeMutableRawPointer,
    _ target: DType
  ) {
    if !source.hasElementType {
      let halves = src.assumingMemoryBound(to: UInt16.self)
      if target == .float32 {
        widen(source, count, halves, dst.assumingMemoryBound(to: Float.self))
      } else {
        staged(count) { start, n, buffer in
          widen(source, n, halves + start, buffer)
          convert(n, buffer, .float32, dst + start * target.byteCount, target)
        }
      }
    } else if !target.hasElementType {
      let halves = dst.assumingMemoryBound(to: UInt16.self)
      if source == .float32 {
        narrow(target, count, src.assumingMemoryBound(to: Float.self), halves)
      } else {
        staged(count) { start, n, buffer in
          if source == .float64 {
            let doubles = src.assumingMemoryBound(to: Double.self) + start
            for i in 0..<n { buffer[i] = roundedToOdd(doubles[i]) }
          } else {
            convert(n, src + start * source.byteCount, source, buffer, .float32)
          }
          narrow(target, n, buffer, halves + start)
        }
      }
    } else {
      source.visit(SourceVisitor(count: count, src: src, source: source, dst: dst, target: target))
    }
  }

  private static func staged(
    _ count: Int, _ body: (Int, Int, UnsafeMutablePointer<Float>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: stage) { buffer in
      guard let base = buffer.baseAddress else { return }
      var start = 0
      while start < count {
        let n = min(stage, count - start)
        body(start, n, base)
        start += n
      }
    }
  }

  /// float16 or bfloat16 to float32.
  static func widen(
    _ dtype: DType, _ count: Int, _ src: UnsafePointer<UInt16>, _ dst: UnsafeMutablePointer<Float>
  ) {
    let table = VectorKernels.chosen.table
    let kernel = dtype == .float16 ? table.f16_to_f32 : table.bf16_to_f32
    kernel(Int64(count), src, dst)
  }

  /// float32 to float16 or bfloat16, to nearest even.
  static func narrow(
    _ dtype: DType, _ count: Int, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<UInt16>
  ) {
    let table = VectorKernels.chosen.table
    let kernel = dtype == .float16 ? table.f32_to_f16 : table.f32_to_bf16
    kernel(Int64(count), src, dst)
  }

  /// A float that lies on the same side of every float16 and bfloat16 tie as `value` does, so that
  /// rounding it once more is rounding `value` once.
  private static func roundedToOdd(_ value: Double) -> Float {
    let nearest = Float(value)
    let back = Double(nearest)
    if back == value || value != value || !nearest.isFinite { return nearest }
    let truncated = back.magnitude > value.magnitude ? nearest.bitPattern - 1 : nearest.bitPattern
    return Float(bitPattern: truncated | 1)
  }

  /// A double as an integer, as this type's summary says.
  @inline(__always)
  package static func integer<T: FixedWidthInteger>(_ value: Double) -> T {
    if T.bitWidth == 64 && !T.isSigned && value >= 9.223372036854775808e18 {
      return value >= 1.8446744073709551616e19
        ? .max : T(truncatingIfNeeded: UInt64(value))
    }
    let wide: Int64
    if value >= 9.223372036854775808e18 {
      wide = .max
    } else if value <= -9.223372036854775808e18 {
      wide = .min
    } else {
      wide = value != value ? 0 : Int64(value)
    }
    if T.bitWidth == 32 && T.isSigned { return T(clamping: wide) }
    return T(truncatingIfNeeded: wide)
  }
}

private struct SourceVisitor: ElementVisitor {
  let count: Int
  let src: UnsafeMutableRawPointer
  let source: DType
  let dst: UnsafeMutableRawPointer
  let target: DType

  func visit<S: Element>(_: S.Type) {
    target.visit(
      TargetVisitor<S>(
        count: count, src: src.assumingMemoryBound(to: S.self), isFromBool: source == .bool,
        dst: dst, target: target))
  }
}

private struct TargetVisitor<S: Element>: ElementVisitor {
  let count: Int
  let src: UnsafePointer<S>
  let isFromBool: Bool
  let dst: UnsafeMutableRawPointer
  let target: DType

  @inline(__always)
  func visit<D: Element>(_: D.Type) {
    let out = dst.assumingMemoryBound(to: D.self)
    if target == .bool || isFromBool {
      for i in 0..<count { out[i] = src[i] == S.zero ? D.zero : D.one }
    } else {
      for i in 0..<count { out[i] = D(converting: src[i]) }
    }
  }
}
