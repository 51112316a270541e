import Glibc
import MartletCore
import MartletKernels
import Synchronization

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

  /// dst[o, y, x] = src[o, rows[y], columns[x]], src [outer, height, width]: `slices` along the last two
  /// axes at once. Neighbours in `rows` that are equal are gathered once.
  package static func grid(
    _ src: Tensor, outer: Int, height: Int, width: Int, rows: [Int], columns: [Int],
    into dst: Tensor, _ workspace: Workspace
  ) {
    let lines = outer * rows.count
    guard lines > 0, !columns.isEmpty else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let perChunk = max(1, grain / 4 / columns.count)
    workspace.pool.parallelFor((lines + perChunk - 1) / perChunk) { chunk in
      src.dtype.visitWidth(
        GridGather(
          lines: chunk * perChunk..<min((chunk + 1) * perChunk, lines), height: height,
          width: width, rows: rows, columns: columns, src: from, dst: to))
    }
  }

  /// dst[..., i, ...] = src[..., indices[..., i, ...], ...] along `axis`: src, of any extents that are
  /// no smaller elsewhere, indices (int32 or int64) and dst, of indices' shape, are contiguous.
  ///
  /// Gives the place of the first index outside -extent..<extent, if there is one; dst is then
  /// not whole.
  package static func elements(
    _ src: Tensor, axis: Int, indices: Tensor, into dst: Tensor, _ workspace: Workspace
  ) -> Int? {
    let columns = indices.shape.last ?? 1
    guard indices.count > 0 else { return nil }
    let rows = indices.count / columns
    let perChunk = max(1, (1 << 14) / columns)
    let fault = Atomic<Int>(.max)
    let strides = Shape.contiguousStrides(src.shape)
    workspace.pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
      let range = chunk * perChunk..<min((chunk + 1) * perChunk, rows)
      let gather = AxisGather(
        rows: range, columns: columns, shape: indices.shape, strides: strides, axis: axis,
        extent: src.shape[axis], indices: indices.pointer, isLong: indices.dtype == .int64,
        src: src.pointer, dst: dst.pointer, size: src.dtype.wholeByteCount)
      if let place = gather.run() { fault.min(place, ordering: .relaxed) }
    }
    let first = fault.load(ordering: .relaxed)
    return first == .max ? nil : first
  }

  /// dst[position] = src at `offsets[position]`, offsets and slices of `slice` elements.
  package static func slices(
    _ src: Tensor, atOffsets offsets: [Int], slice: Int, into dst: Tensor, _ workspace: Workspace
  ) {
    let size = src.dtype.wholeByteCount
    let bytes = slice * size
    guard bytes > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let perChunk = max(1, grain / max(bytes, 4))
    offsets.withUnsafeBufferPointer { offsets in
      nonisolated(unsafe) let offsets = offsets
      if slice == 1 {
        workspace.pool.parallelFor((offsets.count + perChunk - 1) / perChunk) { chunk in
          src.dtype.visitWidth(
            OffsetGather(
              range: chunk * perChunk..<min((chunk + 1) * perChunk, offsets.count),
              offsets: offsets, src: from, dst: to))
        }
        return
      }
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

/// Lines of a grid, a line being one row of one block.
private struct GridGather: IntegerVisitor {
  let lines: Range<Int>
  let height: Int
  let width: Int
  let rows: [Int]
  let columns: [Int]
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let src = src.assumingMemoryBound(to: T.self)
    let dst = dst.assumingMemoryBound(to: T.self)
    let count = columns.count
    let times = repeats
    var previous = -1
    columns.withUnsafeBufferPointer { columns in
      for line in lines {
        let (block, y) = line.quotientAndRemainder(dividingBy: rows.count)
        let source = block * height + rows[y]
        let out = dst + line * count
        if source == previous {
          memcpy(out, out - count, count * MemoryLayout<T>.stride)
          continue
        }
        previous = source
        let from = src + source * width
        switch times {
        case 2: repeatEach(from, 2, out)
        case 3: repeatEach(from, 3, out)
        case 4: repeatEach(from, 4, out)
        default: for x in 0..<count { out[x] = from[columns[x]] }
        }
      }
    }
  }
}

extension GridGather {
  /// How many times each column stands there where all do so often, in order; else 0.
  private var repeats: Int {
    guard width > 0, columns.count % width == 0 else { return 0 }
    let times = columns.count / width
    return columns.indices.allSatisfy { columns[$0] == $0 / times } ? times : 0
  }

  /// Each element of a line `times` times; in place of a number the compiler has that number.
  @inline(__always)
  private func repeatEach<T>(
    _ line: UnsafePointer<T>, _ times: Int, _ out: UnsafeMutablePointer<T>
  ) {
    for x in 0..<width {
      let value = line[x]
      for copy in 0..<times { out[x &* times &+ copy] = value }
    }
  }
}

private struct OffsetGather: IntegerVisitor {
  let range: Range<Int>
  let offsets: UnsafeBufferPointer<Int>
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let src = src.assumingMemoryBound(to: T.self)
    let dst = dst.assumingMemoryBound(to: T.self)
    for i in range { dst[i] = src[offsets[i]] }
  }
}

/// Rows of GatherElements, a row being the last axis of the indices.
private struct AxisGather {
  let rows: Range<Int>
  let columns: Int
  let shape: [Int]
  /// Of the source.
  let strides: [Int]
  let axis: Int
  let extent: Int
  let indices: UnsafeMutableRawPointer
  let isLong: Bool
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer
  /// Of an element.
  let size: Int

  /// The place of the first index out of range, if there is one.
  func run() -> Int? {
    let isLast = axis == shape.count - 1
    for row in rows {
      let moved = mk_gather(
        Int32(size), Int64(columns), indices + row * columns * (isLong ? 8 : 4), isLong,
        Int64(extent), src + start(row) * size, Int64(isLast ? 1 : strides[axis]), isLast ? 0 : 1,
        dst + row * columns * size)
      if moved < columns { return row * columns + Int(moved) }
    }
    return nil
  }

  /// Where row `row` lies in the source, at index 0 of the axis.
  private func start(_ row: Int) -> Int {
    var rest = row
    var offset = 0
    for other in shape.indices.dropLast().reversed() {
      let place = rest % shape[other]
      rest /= shape[other]
      if other != axis { offset += place * strides[other] }
    }
    return offset
  }
}
