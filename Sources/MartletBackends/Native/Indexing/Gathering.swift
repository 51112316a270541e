import Glibc
import MartletCore

/// Reads at computed indices. Operators check the indices with `Indices` first.
package enum Gathering {
  private static let grain = 1 << 16

  /// dst[o, i, :] = src[o, indices[i], :]: slices of `inner` elements along the middle axis.
  /// src and dst are contiguous; indices lie in 0..<extent.
  package static func slices(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, indices: [Int], into dst: Tensor,
    _ workspace: Workspace
  ) {
    let bytes = inner * src.dtype.wholeByteCount
    let rows = outer * indices.count
    guard bytes > 0, rows > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    if inner == 1 {
      let perChunk = max(1, grain / 4 / indices.count)
      workspace.pool.parallelFor((outer + perChunk - 1) / perChunk) { chunk in
        src.dtype.visitWidth(
          ElementGather(
            blocks: chunk * perChunk..<min((chunk + 1) * perChunk, outer), extent: extent,
            indices: indices, src: from, dst: to))
      }
      return
    }
    let perChunk = max(1, grain / bytes)
    indices.withUnsafeBufferPointer { indices in
      nonisolated(unsafe) let indices = indices
      workspace.pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
        for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) {
          let (block, index) = row.quotientAndRemainder(dividingBy: indices.count)
          let source = from + (block * extent + indices[index]) * bytes
          let target = to + row * bytes
          memcpy(target, source, bytes)
        }
      }
    }
  }

  /// dst[position] = src at `offsets[position]`, offsets and slices of `slice` elements.
  package static func slices(
    _ src: Tensor, atOffsets offsets: [Int], slice: Int, into dst: Tensor, _ workspace: Workspace
  ) {
    let size = src.dtype.wholeByteCount
    let bytes = slice * size
    guard bytes > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let perChunk = max(1, grain / bytes)
    offsets.withUnsafeBufferPointer { offsets in
      nonisolated(unsafe) let offsets = offsets
      workspace.pool.parallelFor((offsets.count + perChunk - 1) / perChunk) { chunk in
        for row in chunk * perChunk..<min((chunk + 1) * perChunk, offsets.count) {
          memcpy(to + row * bytes, from + offsets[row] * size, bytes)
        }
      }
    }
  }
}

private struct ElementGather: IntegerVisitor {
  let blocks: Range<Int>
  let extent: Int
  let indices: [Int]
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let count = indices.count
    indices.withUnsafeBufferPointer { indices in
      for block in blocks {
        let line = src.assumingMemoryBound(to: T.self) + block * extent
        let out = dst.assumingMemoryBound(to: T.self) + block * count
        for i in 0..<count { out[i] = line[indices[i]] }
      }
    }
  }
}
