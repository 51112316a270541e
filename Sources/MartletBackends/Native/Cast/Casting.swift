import MartletCore
import MartletKernels

/// Conversion between dtypes.
///
/// To floats: round to nearest even, NaN and infinities kept. Between integers: the low bits. To
/// bool: whether the value is not zero (NaN is not). From floats to integers: see `integer`. From and
/// to narrow dtypes: see `NarrowCasting`.
package enum Casting {
  private static let grain = 1 << 15
  /// Elements per stage of a conversion through float32: 2 KiB stay in L1.
  private static let stage = 512

  /// Converts `src` to `dst`'s dtype; `dst` is contiguous and of the same shape. `rounding` is that
  /// of narrow floats.
  package static func cast(
    _ src: Tensor, into dst: Tensor, _ workspace: Workspace,
    rounding: NarrowRounding = NarrowRounding()
  ) throws(MartletError) {
    if src.dtype == dst.dtype && src.dtype != .bool {
      Copying.copy(src, into: dst, workspace)
      return
    }
    guard src.dtype != .string, dst.dtype != .string else {
      throw MartletError(
        .invalidDType, "strings are not converted as numbers are", expected: "numbers",
        actual: "\(src.dtype) to \(dst.dtype)")
    }
    let dense = try workspace.contiguous(src)
    let from = dense.pointer
    let to = dst.pointer
    let count = dst.count
    let chunks = (count + grain - 1) / grain
    workspace.pool.parallelFor(chunks) { chunk in
      let start = chunk * grain
      convert(
        min(grain, count - start), from + src.dtype.byteCount(of: start), src.dtype,
        to + dst.dtype.byteCount(of: start), dst.dtype, rounding)
    }
  }

  /// Converts `count` contiguous elements, on both sides from the first bit of a byte on.
  static func convert(
    _ count: Int, _ src: UnsafeMutableRawPointer, _ source: DType, _ dst: UnsafeMutableRawPointer,
    _ target: DType, _ rounding: NarrowRounding = NarrowRounding()
  ) {
    if source.isNarrow || target.isNarrow {
      NarrowCasting.convert(count, src, source, dst, target, rounding)
    } else if !source.hasElementType {
      let halves = src.assumingMemoryBound(to: UInt16.self)
      if target == .float32 {
        widen(source, count, halves, dst.assumingMemoryBound(to: Float.self))
      } else {
        staged(count) { start, n, buffer in
          widen(source, n, halves + start, buffer)
          convert(n, buffer, .float32, dst + start * target.wholeByteCount, target)
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
            convert(n, src + start * source.wholeByteCount, source, buffer, .float32)
          }
          narrow(target, n, buffer, halves + start)
        }
      }
    } else {
      VectorKernels.chosen.cast(from: source, to: target)?(Int64(count), src, dst)
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

  /// A float that lies on the same side of every tie of a float of 16 bits or less as `value` does, so that
  /// rounding it once more is rounding `value` once.
  static func roundedToOdd(_ value: Double) -> Float {
    let nearest = Float(value)
    let back = Double(nearest)
    if back == value || value != value || !nearest.isFinite { return nearest }
    let truncated = back.magnitude > value.magnitude ? nearest.bitPattern - 1 : nearest.bitPattern
    return Float(bitPattern: truncated | 1)
  }

  /// A double as Cast makes it an integer: truncated towards zero, and beyond the type, which C leaves
  /// undefined, as x86 processors have it, on all processors.
  ///
  /// int32 and int64 become their least number, for NaN too; the narrower types are the low bits of
  /// the int32. uint32 and uint64 are the bits of the signed number as long as the value is below 2^31
  /// (2^63), and of the signed number of the rest above: 2^31 (2^63) for NaN and what is too small, 0 for
  /// what is too large.
  @inline(__always)
  package static func integer<T: FixedWidthInteger>(_ value: Double) -> T {
    let half = T.bitWidth == 64 ? 0x1p63 : 0x1p31
    if !T.isSigned, T.bitWidth >= 32, value >= half {
      return T(
        truncatingIfNeeded: T.bitWidth == 64 ? signed64(value - half) : signed32(value - half))
        ^ (1 << (T.bitWidth - 1))
    }
    return T(truncatingIfNeeded: T.bitWidth == 64 ? signed64(value) : signed32(value))
  }

  @inline(__always)
  private static func signed64(_ value: Double) -> Int64 {
    value >= -0x1p63 && value < 0x1p63 ? Int64(value) : .min
  }

  @inline(__always)
  private static func signed32(_ value: Double) -> Int64 {
    value > -0x1p31 - 1 && value < 0x1p31 ? Int64(value) : -0x8000_0000
  }

  /// The integer nearest to `value` truncated towards zero, 0 for NaN: for sizes and places.
  package static func clamped<T: FixedWidthInteger>(_ value: Double) -> T {
    if value != value { return 0 }
    if value >= Double(T.max) { return .max }
    return value <= Double(T.min) ? .min : T(value)
  }
}
