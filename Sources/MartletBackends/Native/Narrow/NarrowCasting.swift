import MartletCore

/// Conversion from and to narrow dtypes, through float32 or int8 (uint8) in pieces that stay in L1.
///
/// To narrow floats: rounded once, as `NarrowFormat` says (float8e8m0 from float32, to which what is
/// wider is rounded first). To integers of less than 8 bits: the low bits of what int8 or uint8 would get.
enum NarrowCasting {
  /// Elements per stage: whole bytes of every width.
  private static let stage = 512

  /// Converts `count` elements without gaps, of which one side at least is narrow; both begin with
  /// the first bit of a byte.
  static func convert(
    _ count: Int, _ src: UnsafeRawPointer, _ source: DType, _ dst: UnsafeMutableRawPointer,
    _ target: DType, _ rounding: NarrowRounding
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: stage) { floats in
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: stage) { bytes in
        guard let floats = floats.baseAddress, let bytes = bytes.baseAddress else { return }
        var start = 0
        while start < count {
          let n = min(stage, count - start)
          let from = src + source.byteCount(of: start)
          let to = dst + target.byteCount(of: start)
          if let format = NarrowFormat.of(target) {
            widen(n, from, source, floats, bytes, target)
            let codes = target.isPacked ? bytes : to.assumingMemoryBound(to: UInt8.self)
            for i in 0..<n { codes[i] = format.code(floats[i], rounding) }
            if target.isPacked { PackedElements.pack(target, codes, n, into: to) }
          } else if target.isPacked {
            integers(n, from, source, floats, bytes, target)
            PackedElements.pack(target, bytes, n, into: to)
          } else if NarrowFormat.of(source) != nil {
            widen(n, from, source, floats, bytes, target)
            Casting.convert(n, floats, .float32, to, target)
          } else {
            codes(n, from, source, bytes)
            Casting.convert(n, bytes, source.isSignedInteger ? .int8 : .uint8, to, target)
          }
          start += n
        }
      }
    }
  }

  /// `n` elements as float32.
  private static func widen(
    _ n: Int, _ src: UnsafeRawPointer, _ source: DType, _ dst: UnsafeMutablePointer<Float>,
    _ bytes: UnsafeMutablePointer<UInt8>, _ target: DType
  ) {
    if let format = NarrowFormat.of(source) {
      var codes = src.assumingMemoryBound(to: UInt8.self)
      if source.isPacked {
        PackedElements.unpack(source, src, n, into: bytes)
        codes = UnsafePointer(bytes)
      }
      format.values.withUnsafeBufferPointer { values in
        for i in 0..<n { dst[i] = values[Int(codes[i])] }
      }
    } else if source.isPacked {
      codes(n, src, source, bytes)
      Casting.convert(n, bytes, source.isSignedInteger ? .int8 : .uint8, dst, .float32)
    } else if source == .float64 && target != .float8e8m0 {
      let doubles = src.assumingMemoryBound(to: Double.self)
      for i in 0..<n { dst[i] = Casting.roundedToOdd(doubles[i]) }
    } else {
      Casting.convert(n, UnsafeMutableRawPointer(mutating: src), source, dst, .float32)
    }
  }

  /// `n` elements as int8, or uint8 where `target` has no sign.
  private static func integers(
    _ n: Int, _ src: UnsafeRawPointer, _ source: DType, _ floats: UnsafeMutablePointer<Float>,
    _ dst: UnsafeMutablePointer<UInt8>, _ target: DType
  ) {
    let wide: DType = target.isSignedInteger ? .int8 : .uint8
    if NarrowFormat.of(source) != nil {
      widen(n, src, source, floats, dst, target)
      Casting.convert(n, floats, .float32, dst, wide)
    } else if source.isPacked {
      codes(n, src, source, dst)
    } else {
      Casting.convert(n, UnsafeMutableRawPointer(mutating: src), source, dst, wide)
    }
  }

  /// `n` packed integers as int8, or uint8 where they have no sign.
  private static func codes(
    _ n: Int, _ src: UnsafeRawPointer, _ source: DType, _ dst: UnsafeMutablePointer<UInt8>
  ) {
    PackedElements.unpack(source, src, n, into: dst)
    guard source.isSignedInteger else { return }
    let spare = UInt8(8 - source.bitWidth)
    dst.withMemoryRebound(to: Int8.self, capacity: n) { signed in
      for i in 0..<n { signed[i] = (signed[i] << spare) >> spare }
    }
  }
}
