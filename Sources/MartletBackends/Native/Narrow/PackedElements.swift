import MartletCore

/// Elements of less than a byte, taken apart to a byte each and put together again.
///
/// Element i has the bits from i * bitWidth on, counted from the lowest bit of the first byte: two of
/// 4 bits or four of 2 bits to a byte, four of 6 bits to three bytes.
/// Source: onnx.proto, TensorProto.raw_data.
package enum PackedElements {
  /// Elements that one thread takes at a time; whole bytes of every width.
  private static let grain = 1 << 16

  /// The codes of all elements, a byte each, in a uint8 tensor of the same shape.
  package static func unpacked(_ tensor: Tensor, _ workspace: Workspace) throws(MartletError)
    -> Tensor
  {
    let codes = try workspace.scratch(.uint8, tensor.shape)
    let (source, target) = (UnsafeRawPointer(tensor.pointer), codes.typed(UInt8.self))
    forEachPart(tensor.count, workspace.pool) { start, count in
      unpack(
        tensor.dtype, source + tensor.dtype.byteCount(of: start), count, into: target + start)
    }
    return codes
  }

  /// The low bits of `codes`, a uint8 tensor of any strides, as the elements of `dst`.
  package static func pack(_ codes: Tensor, into dst: Tensor, _ workspace: Workspace)
    throws(MartletError)
  {
    let dense = try workspace.contiguous(codes)
    let (source, target) = (dense.typed(UInt8.self), dst.pointer)
    forEachPart(dst.count, workspace.pool) { start, count in
      pack(dst.dtype, source + start, count, into: target + dst.dtype.byteCount(of: start))
    }
  }

  /// The elements of `wide`, contiguous int8 or uint8, brought into the range of `dst`, integers of
  /// less than 8 bits.
  package static func packClamped(_ wide: Tensor, into dst: Tensor, _ workspace: Workspace) {
    let (source, target) = (wide.typed(UInt8.self), dst.pointer)
    let dtype = dst.dtype
    forEachPart(dst.count, workspace.pool) { start, count in
      let codes = source + start
      if dtype.isSignedInteger {
        let least = -Int8(1 << (dtype.bitWidth - 1))
        for i in 0..<count {
          let value = Int8(bitPattern: codes[i])
          codes[i] = UInt8(bitPattern: min(max(value, least), -least - 1))
        }
      } else {
        let most = UInt8(1 << dtype.bitWidth - 1)
        for i in 0..<count { codes[i] = min(codes[i], most) }
      }
      pack(dtype, codes, count, into: target + dtype.byteCount(of: start))
    }
  }

  private static func forEachPart(
    _ count: Int, _ pool: ThreadPool, _ body: (_ start: Int, _ count: Int) -> Void
  ) {
    pool.parallelFor((count + grain - 1) / grain) { part in
      body(part * grain, min(grain, count - part * grain))
    }
  }

  /// The codes of `count` elements that begin with the first bit of `src`.
  static func unpack(
    _ dtype: DType, _ src: UnsafeRawPointer, _ count: Int, into dst: UnsafeMutablePointer<UInt8>
  ) {
    let bytes = src.assumingMemoryBound(to: UInt8.self)
    let bits = dtype.bitWidth
    var done = 0
    switch bits {
    case 4:
      done = count & ~1
      for i in 0..<done / 2 {
        let byte = bytes[i]
        dst[2 * i] = byte & 15
        dst[2 * i + 1] = byte >> 4
      }
    case 2:
      done = count & ~3
      for i in 0..<done / 4 {
        let byte = bytes[i]
        dst[4 * i] = byte & 3
        dst[4 * i + 1] = byte >> 2 & 3
        dst[4 * i + 2] = byte >> 4 & 3
        dst[4 * i + 3] = byte >> 6
      }
    default:
      done = count & ~3
      for i in 0..<done / 4 {
        let (a, b, c) = (bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2])
        dst[4 * i] = a & 63
        dst[4 * i + 1] = a >> 6 | (b & 15) << 2
        dst[4 * i + 2] = b >> 4 | (c & 3) << 4
        dst[4 * i + 3] = c >> 2
      }
    }
    // The elements of a last group that is not full, bit by bit.
    for i in done..<count {
      var code: UInt8 = 0
      for bit in 0..<bits {
        let place = i * bits + bit
        code |= (bytes[place / 8] >> UInt8(place % 8) & 1) << UInt8(bit)
      }
      dst[i] = code
    }
  }

  /// The low bits of `count` codes, from the first bit of `dst` on; bits behind the last are 0.
  static func pack(
    _ dtype: DType, _ src: UnsafePointer<UInt8>, _ count: Int, into dst: UnsafeMutableRawPointer
  ) {
    let bytes = dst.assumingMemoryBound(to: UInt8.self)
    let bits = dtype.bitWidth
    var done = 0
    switch bits {
    case 4:
      done = count & ~1
      for i in 0..<done / 2 { bytes[i] = src[2 * i] & 15 | src[2 * i + 1] << 4 }
    case 2:
      done = count & ~3
      for i in 0..<done / 4 {
        let low = src[4 * i] & 3 | (src[4 * i + 1] & 3) << 2
        bytes[i] = low | (src[4 * i + 2] & 3) << 4 | src[4 * i + 3] << 6
      }
    default:
      done = count & ~3
      for i in 0..<done / 4 {
        let (a, b) = (src[4 * i] & 63, src[4 * i + 1] & 63)
        let (c, d) = (src[4 * i + 2] & 63, src[4 * i + 3] & 63)
        bytes[3 * i] = a | b << 6
        bytes[3 * i + 1] = b >> 2 | c << 4
        bytes[3 * i + 2] = c >> 4 | d << 2
      }
    }
    for byte in done * bits / 8..<dtype.byteCount(of: count) { bytes[byte] = 0 }
    for i in done..<count {
      for bit in 0..<bits {
        let place = i * bits + bit
        bytes[place / 8] |= (src[i] >> UInt8(bit) & 1) << UInt8(place % 8)
      }
    }
  }
}
