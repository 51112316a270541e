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
    let bytes = inner * src.dtype.byteCount
    let rows = outer * indices.count
    guard bytes > 0, rows > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let perChunk = max(1, grain / bytes)
    indices.withUnsafeBufferPointer { indices in
      nonisolated(unsafe) let indices = indices
      workspace.pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
        for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) {
          let (block, index) = row.quotientAndRemainder(dividingBy: indices.count)
          let source = from + (block * extent + indices[index]) * bytes
          let target = to + row * bytes
          switch bytes {
          case 4: target.copyMemory(from: source, byteCount: 4)
          case 8: target.copyMemory(from: source, byteCount: 8)
          default: memcpy(target, source, bytes)
          }
        }
      }
    }
  }

  /// dst[position] = src at `offsets[position]`, offsets and slices of `slice` elements.
  package static func slices(
    _ src: Tensor, atOffsets offsets: [Int], slice: Int, into dst: Tensor, _ workspace: Workspace
  ) {
    let size = src.dtype.byteCount
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
