import MartletCore

/// Slices of integers along one axis, dequantised in blocks along an axis: (q - zero) * scale, rounded
/// once per step.
package struct BlockGathering {
  private let shape: [Int]
  private let axis: Int
  private let blockAxis: Int
  private let block: Int
  private let blocks: Int
  private let elements: UnsafeRawPointer
  private let dtype: DType
  private let scales: UnsafePointer<Float>
  private let zeros: UnsafePointer<Int32>?
  private let zero: Int32

  /// Elements that are taken apart at a time.
  private static let stage = 1024

  /// `elements` are contiguous; scales and zeros have the elements' shape, but `blocks` along
  /// `blockAxis`. `dtype`: uint8, or an integer of 2 or 4 bits.
  package init(
    shape: [Int], axis: Int, blockAxis: Int, block: Int, blocks: Int, elements: UnsafeRawPointer,
    dtype: DType, scales: UnsafePointer<Float>, zeros: UnsafePointer<Int32>?, zero: Int32
  ) {
    self.shape = shape
    self.axis = axis
    self.blockAxis = blockAxis
    self.block = block
    self.blocks = blocks
    self.elements = elements
    self.dtype = dtype
    self.scales = scales
    self.zeros = zeros
    self.zero = zero
  }

  /// dst[o, i, ...] = slice indices[i] of o; zeros for an index that is out of range.
  package func run(
    _ indices: [Int], into dst: UnsafeMutablePointer<Float>, pool: ThreadPool
  ) {
    let inner = shape[(axis + 1)...].reduce(1, *)
    let extent = shape[axis]
    let rows = shape[..<axis].reduce(1, *) * indices.count
    guard inner > 0, rows > 0 else { return }
    let perPart = max(1, (1 << 14) / inner)
    indices.withUnsafeBufferPointer { indices in
      nonisolated(unsafe) let indices = indices
      pool.parallelFor((rows + perPart - 1) / perPart) { part in
        for row in part * perPart..<min((part + 1) * perPart, rows) {
          let (outer, place) = row.quotientAndRemainder(dividingBy: indices.count)
          let index = indices[place]
          let target = dst + row * inner
          guard index >= -extent, index < extent else {
            target.update(repeating: 0, count: inner)
            continue
          }
          let slice = outer * extent + (index < 0 ? index + extent : index)
          expand(slice * inner, inner, into: target)
        }
      }
    }
  }

  /// Elements `start` to `start + count` of the whole.
  private func expand(_ start: Int, _ count: Int, into dst: UnsafeMutablePointer<Float>) {
    let after = shape[(blockAxis + 1)...].reduce(1, *)
    let along = shape[blockAxis]
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.stage + 8) { buffer in
      guard let codes = buffer.baseAddress else { return }
      var done = 0
      while done < count {
        // From whole bytes on; the few elements before are skipped.
        let first = start + done
        let perByte = 8 / dtype.bitWidth
        let skipped = first % perByte
        let part = min(Self.stage, count - done)
        read((first - skipped) / perByte, part + skipped, into: codes)
        // Where along the block's axis, and behind it, the first element lies.
        var (line, rest) = first.quotientAndRemainder(dividingBy: after)
        var i = 0
        while i < part {
          let (before, place) = line.quotientAndRemainder(dividingBy: along)
          let entry = (before * blocks + place / block) * after + rest
          // Of one block; or, behind the block's axis, of neighbouring blocks.
          let isBlock = after == 1
          let run =
            isBlock
            ? min(block - place % block, along - place, part - i) : min(after - rest, part - i)
          let (source, target) = (codes + (skipped + i), dst + (done + i))
          for j in 0..<run {
            let step = isBlock ? entry : entry + j
            target[j] = Float(value(source[j]) - (zeros?[step] ?? zero)) * scales[step]
          }
          i += run
          line += isBlock ? run : 1
          rest = 0
        }
        done += part
      }
    }
  }

  private func read(_ byte: Int, _ count: Int, into codes: UnsafeMutablePointer<UInt8>) {
    let source = elements + byte
    guard dtype.isPacked else {
      codes.update(from: source.assumingMemoryBound(to: UInt8.self), count: count)
      return
    }
    PackedElements.unpack(dtype, source, count, into: codes)
  }

  private func value(_ code: UInt8) -> Int32 {
    guard dtype.isSignedInteger else { return Int32(code) }
    let sign = Int32(1) << (Int32(dtype.bitWidth) - 1)
    return (Int32(code) ^ sign) - sign
  }
}
