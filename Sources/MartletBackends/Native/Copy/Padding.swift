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
    let rows = dst.count / last.count
    let width = last.count * size
    let hasConstantRows = outer.contains { $0.contains { $0 < 0 } }
    let longest = runs.lazy.filter { $0.source < 0 }.map(\.count).max() ?? 1
    let constant = fill.bytes(repeated: hasConstantRows ? last.count : longest)
    let (from, to) = (src.pointer, dst.pointer)
    let perChunk = max(1, (1 << 14) / last.count)
    workspace.pool.parallelFor((rows + perChunk - 1) / perChunk) { chunk in
      runs.withUnsafeBufferPointer { runs in
        constant.withUnsafeBytes { constant in
          guard let constant = constant.baseAddress else { return }
          var places = RowPlaces(outer, src, from: chunk * perChunk)
          for row in chunk * perChunk..<min((chunk + 1) * perChunk, rows) {
            let target = to + row * width
            if let source = places.next() {
              for run in runs {
                let bytes = run.count * size
                let begin = target + run.start * size
                if run.source < 0 {
                  memcpy(begin, constant, bytes)
                } else {
                  memcpy(begin, from + (source + run.source) * size, bytes)
                }
              }
            } else {
              memcpy(target, constant, width)
            }
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

extension Tensor {
  /// The bytes of this scalar `count` times over, at least once.
  fileprivate func bytes(repeated count: Int) -> [UInt8] {
    let size = dtype.wholeByteCount
    return [UInt8](unsafeUninitializedCapacity: count * size) { buffer, filled in
      guard let start = buffer.baseAddress else { return }
      memcpy(start, pointer, size)
      filled = size
      while filled < count * size {
        let more = min(filled, count * size - filled)
        memcpy(start + filled, start, more)
        filled += more
      }
    }
  }
}

/// Where rows of the result begin in the source, one after another: the last outer axis is walked, what
/// is outside of it looked up anew.
private struct RowPlaces {
  private let outer: [[Int]]
  private let shape: [Int]
  private let map: [Int]
  private var row: Int
  private var place: Int
  /// Of the axes outside; nil where they are all constant.
  private var base: Int?

  init(_ outer: [[Int]], _ src: Tensor, from row: Int) {
    (self.outer, shape) = (outer, src.shape)
    map = outer.last ?? [0]
    self.row = row / max(map.count, 1)
    place = row % max(map.count, 1)
    base = nil
    base = outside()
  }

  private func outside() -> Int? {
    var (rest, offset) = (row, 0)
    var step = shape.suffix(2).reduce(1, *)
    for axis in outer.indices.dropLast().reversed() {
      let place = outer[axis][rest % outer[axis].count]
      if place < 0 { return nil }
      rest /= outer[axis].count
      offset += place * step
      step *= shape[axis]
    }
    return offset
  }

  /// The element where the next row begins, or nil if it is all constant.
  mutating func next() -> Int? {
    if place == map.count {
      place = 0
      row += 1
      base = outside()
    }
    place += 1
    let index = map[place - 1]
    guard let base, index >= 0 else { return nil }
    return base + index * (shape.last ?? 1)
  }
}
