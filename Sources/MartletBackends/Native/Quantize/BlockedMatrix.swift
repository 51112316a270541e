import MartletCore

/// A matrix [N, K] of unsigned integers of 2, 4 or 8 bits whose rows are cut into blocks: an element is
/// (q - zero) * scale of its block, the difference and the product each rounded to float32.
///
/// Elements lie one after another, the first in the lowest bits of a byte; a row is `blocks` whole
/// blocks, of the last of which what lies beyond K is not read. A block is a power of two of elements,
/// 16 at least.
package struct BlockedMatrix {
  /// What stands for 0 in a block.
  package enum Zeros {
    /// One for all.
    case one(Int32)
    /// Packed as elements are, each row from a byte of its own on.
    case packed(UnsafePointer<UInt8>)
    /// [N, blocks].
    case floats(UnsafePointer<Float>)
  }

  package let bits: Int
  package let n: Int
  package let k: Int
  package let block: Int
  package let elements: UnsafePointer<UInt8>
  /// [N, blocks].
  package let scales: UnsafePointer<Float>
  package let zeros: Zeros
  /// [K]: the block of which an element has scale and zero; nil: the one that it lies in.
  package var groups: UnsafePointer<Int32>?

  /// Elements that are taken apart at a time.
  private static let stage = 2048

  package init(
    bits: Int, n: Int, k: Int, block: Int, elements: UnsafePointer<UInt8>,
    scales: UnsafePointer<Float>, zeros: Zeros
  ) {
    self.bits = bits
    self.n = n
    self.k = k
    self.block = block
    self.elements = elements
    self.scales = scales
    self.zeros = zeros
  }

  package var blocks: Int { k == 0 ? 0 : (k - 1) / block + 1 }
  private var rowBytes: Int { blocks * (block / 8) * bits }
  private var zeroRowBytes: Int { (blocks * bits + 7) / 8 }

  /// Rows `rows` as float32 [rows, K].
  package func expand(
    _ rows: Range<Int>, into dst: UnsafeMutablePointer<Float>, pool: ThreadPool
  ) {
    let perPart = max(1, (1 << 14) / max(k, 1))
    pool.parallelFor((rows.count + perPart - 1) / perPart) { part in
      let first = rows.lowerBound + part * perPart
      for row in first..<min(first + perPart, rows.upperBound) {
        expand(row: row, into: dst + (row - rows.lowerBound) * k, pool)
      }
    }
  }

  private func expand(row: Int, into dst: UnsafeMutablePointer<Float>, _ pool: ThreadPool) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.stage) { codes in
      withUnsafeTemporaryAllocation(of: Int32.self, capacity: Self.stage / 16 + 1) { integers in
        guard let codes = codes.baseAddress, let integers = integers.baseAddress else { return }
        var start = 0
        while start < k {
          let count = min(Self.stage, k - start)
          unpack(row, start, count, into: codes)
          if let groups {
            for i in 0..<count {
              dst[start + i] = value(codes[i], row, Int(groups[start + i]))
            }
          } else if case .floats(let zeros) = zeros {
            subtract(zeros + row * blocks, codes, row, start, count, into: dst + start)
          } else {
            for i in start / block...(start + count - 1) / block {
              integers[i - start / block] = integerZero(row, i)
            }
            var parameters = Quantizing.Parameters(
              scales: scales + (row * blocks + start / block), zeros: integers, outer: 1,
              axis: count, inner: 1)
            parameters.axisStep = 1
            parameters.block = block
            Quantizing.dequantize(codes, .uint8, into: dst + start, parameters, pool: pool)
          }
          start += count
        }
      }
    }
  }

  private func unpack(
    _ row: Int, _ start: Int, _ count: Int, into codes: UnsafeMutablePointer<UInt8>
  ) {
    let source = elements + (row * rowBytes + start / 8 * bits)
    switch bits {
    case 8: codes.update(from: source, count: count)
    case 4: PackedElements.unpack(.uint4, source, count, into: codes)
    default: PackedElements.unpack(.uint2, source, count, into: codes)
    }
  }

  private func subtract(
    _ zeros: UnsafePointer<Float>, _ codes: UnsafePointer<UInt8>, _ row: Int, _ start: Int,
    _ count: Int, into dst: UnsafeMutablePointer<Float>
  ) {
    var done = 0
    while done < count {
      let index = (start + done) / block
      let end = min((index + 1) * block - start, count)
      let (zero, scale) = (zeros[index], scales[row * blocks + index])
      for i in done..<end { dst[i] = (Float(codes[i]) - zero) * scale }
      done = end
    }
  }

  private func integerZero(_ row: Int, _ index: Int) -> Int32 {
    switch zeros {
    case .one(let zero): return zero
    case .floats: return 0
    case .packed(let bytes):
      let place = index * bits
      let byte = bytes[row * zeroRowBytes + place / 8]
      return Int32(byte >> UInt8(place % 8)) & Int32(1 << bits - 1)
    }
  }

  private func value(_ code: UInt8, _ row: Int, _ index: Int) -> Float {
    let scale = scales[row * blocks + index]
    if case .floats(let zeros) = zeros {
      return (Float(code) - zeros[row * blocks + index]) * scale
    }
    return Float(Int32(code) - integerZero(row, index)) * scale
  }
}
