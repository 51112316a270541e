import Glibc
import MartletCore

/// Copies in which each axis of the result reads chosen places of the source, or a constant.
package enum Padding {
  /// dst[i, j, …] = src[map0[i], map1[j], …], or `fill` where a map says -1.
  ///
  /// src and dst are contiguous and of one dtype, `fill` a scalar of it; there is a map per axis of
  /// dst, with places inside src. Neighbouring places are copied as blocks.
  package static func copy(
    _ src: Tensor, maps: [[Int]], fill: Tensor, into dst: Tensor, _ workspace: Workspace
  ) {
    guard dst.count > 0 else { return }
    guard let last = maps.last else {
      Copying.copy(src, into: dst, workspace)
      return
    }
    let size = src.dtype.wholeByteCount
    let runs = Padding.runs(last)
    let outer = Array(maps.dropLast())
    let outerShape = outer.map(\.count)
    let rows = outerShape.reduce(1, *)
    let (from, to, value) = (src.pointer, dst.pointer, fill.pointer)
    let perChunk = max(1, (1 << 14) / last.count)
    workspace.pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
      for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) {
        let target = to + row * last.count * size
        guard let source = sourceRow(row, outer, src) else {
          src.dtype.visitWidth(Fill(count: last.count, value: value, dst: target))
          continue
        }
        for run in runs {
          if run.source < 0 {
            src.dtype.visitWidth(
              Fill(count: run.count, value: value, dst: target + run.start * size))
          } else {
            memcpy(
              target + run.start * size, from + (source + run.source) * size, run.count * size)
          }
        }
      }
    }
  }

  private struct Run {
    var start: Int
    /// -1: the constant.
    var source: Int
    var count: Int
  }

  private static func runs(_ map: [Int]) -> [Run] {
    var runs: [Run] = []
    for (place, source) in map.enumerated() {
      if let last = runs.last,
        source < 0
          ? last.source < 0
          : last.source >= 0
            && last.source + last.count == source
      {
        runs[runs.count - 1].count += 1
      } else {
        runs.append(Run(start: place, source: source, count: 1))
      }
    }
    return runs
  }

  /// The element of src where row `row` of the result begins, or nil if it is all constant.
  private static func sourceRow(_ row: Int, _ outer: [[Int]], _ src: Tensor) -> Int? {
    var rest = row
    var offset = 0
    var step = src.shape[src.rank - 1]
    for axis in outer.indices.reversed() {
      let place = outer[axis][rest % outer[axis].count]
      if place < 0 { return nil }
      rest /= outer[axis].count
      offset += place * step
      step *= src.shape[axis]
    }
    return offset
  }

  /// dst = the matrices of src with zeros above (or below) their `k`-th diagonal; both contiguous.
  package static func triangle(
    _ src: Tensor, rows: Int, columns: Int, k: Int, keepsUpper: Bool, into dst: Tensor,
    _ workspace: Workspace
  ) {
    guard dst.count > 0 else { return }
    let size = src.dtype.wholeByteCount
    let (from, to) = (src.pointer, dst.pointer)
    let total = dst.count / columns
    let perChunk = max(1, (1 << 15) / columns)
    workspace.pool.parallelFor((total + perChunk - 1) / perChunk) { chunk in
      for row in chunk * perChunk..<min((chunk + 1) * perChunk, total) {
        let (diagonal, overflow) = (row % rows).addingReportingOverflow(k)
        let edge = overflow ? (k > 0 ? columns : 0) : diagonal
        // The upper part begins on the diagonal; the lower ends with it.
        let cut = min(max(keepsUpper ? edge : (edge < columns ? edge + 1 : edge), 0), columns)
        let (source, target) = (from + row * columns * size, to + row * columns * size)
        let (head, tail) = (cut * size, (columns - cut) * size)
        if keepsUpper {
          memset(target, 0, head)
          memcpy(target + head, source + head, tail)
        } else {
          memcpy(target, source, head)
          memset(target + head, 0, tail)
        }
      }
    }
  }
}

private struct Fill: IntegerVisitor {
  let count: Int
  let value: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    let value = value.assumingMemoryBound(to: T.self).pointee
    dst.assumingMemoryBound(to: T.self).update(repeating: value, count: count)
  }
}
