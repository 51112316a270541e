import MartletCore
import MartletKernels

/// Searches along one axis: the place of the extreme, and the first few in order.
///
/// NaN counts as greater than every number when the greatest are sought, and as less when the least
/// are. Of equal elements the first comes first.
package enum Selecting {
  static let grain = 1 << 14

  /// dst[o, i] = the index along the middle axis of the greatest (or least) of src[o, :, i].
  /// src is contiguous (no 16-bit float), dst int64 and contiguous, extent > 0.
  package static func extreme(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, greatest: Bool, takesLast: Bool,
    into dst: Tensor, _ workspace: Workspace
  ) {
    if src.dtype == .float32, extent < Int(Int32.max) {
      let search = FloatExtreme(
        outer: outer, extent: extent, inner: inner, greatest: greatest, takesLast: takesLast,
        src: src.typed(Float.self), dst: dst.typed(Int64.self))
      return search.run(on: workspace.pool, grain: grain)
    }
    let count = outer * inner
    let perChunk = max(1, grain / max(extent, 1))
    workspace.pool.parallelFor((count + perChunk - 1) / perChunk) { chunk in
      src.dtype.visit(
        Extreme(
          range: chunk * perChunk..<min((chunk + 1) * perChunk, count), extent: extent,
          inner: inner, greatest: greatest, takesLast: takesLast, src: src.pointer,
          dst: dst.typed(Int64.self)))
    }
  }

  /// Whether a comes before b.
  @inline(__always)
  static func precedes<T: Element>(_ a: T, _ b: T, _ greatest: Bool) -> Bool {
    if a.isNaNValue { return !b.isNaNValue }
    return greatest ? a > b : a < b
  }
}

/// The same for float32, many places at once: those beside each other where the axis is not the last;
/// else every 256th of a row, the best of which are then compared.
private struct FloatExtreme: @unchecked Sendable {  // holds addresses and numbers only
  let outer: Int
  let extent: Int
  let inner: Int
  let greatest: Bool
  let takesLast: Bool
  let src: UnsafeMutablePointer<Float>
  let dst: UnsafeMutablePointer<Int64>

  private static let width = 256

  private var kernel: mk_extreme_fn {
    let first = greatest ? MK_EXTREME_MAX : MK_EXTREME_MIN
    return VectorKernels.chosen.extreme[
      takesLast ? (greatest ? MK_EXTREME_LAST_MAX : MK_EXTREME_LAST_MIN) : first]
  }

  func run(on pool: ThreadPool, grain: Int) {
    let width = FloatExtreme.width
    let tiles = inner == 1 ? 1 : (inner + width - 1) / width
    let perChunk = max(1, grain / (inner == 1 ? extent : min(inner, width) * extent))
    pool.parallelFor((outer * tiles + perChunk - 1) / perChunk) { chunk in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { best in
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: width) { places in
          guard let best = best.baseAddress, let places = places.baseAddress else { return }
          for unit in chunk * perChunk..<min((chunk + 1) * perChunk, outer * tiles) {
            let (block, tile) = unit.quotientAndRemainder(dividingBy: tiles)
            if inner == 1 {
              dst[block] = row(src + block * extent, best, places)
            } else {
              columns(block, tile * width, best, places)
            }
          }
        }
      }
    }
  }

  /// Columns `first` and those beside it, of one block.
  private func columns(
    _ block: Int, _ first: Int, _ best: UnsafeMutablePointer<Float>,
    _ places: UnsafeMutablePointer<Int32>
  ) {
    let count = min(FloatExtreme.width, inner - first)
    let values = src + block * extent * inner + first
    best.initialize(from: values, count: count)
    places.initialize(repeating: 0, count: count)
    let kernel = kernel
    for index in 1..<max(extent, 1) {
      kernel(Int64(count), values + index * inner, best, places, Int32(index))
    }
    for column in 0..<count { dst[block * inner + first + column] = Int64(places[column]) }
  }

  private func row(
    _ values: UnsafePointer<Float>, _ best: UnsafeMutablePointer<Float>,
    _ places: UnsafeMutablePointer<Int32>
  ) -> Int64 {
    let width = min(FloatExtreme.width, extent)
    best.initialize(from: values, count: width)
    places.initialize(repeating: 0, count: width)
    let kernel = kernel
    var (start, step) = (width, Int32(1))
    while start < extent {
      kernel(Int64(min(width, extent - start)), values + start, best, places, step)
      start += width
      step += 1
    }
    var found = (lane: 0, index: Int(places[0]) * width)
    for lane in 1..<max(width, 1) {
      let index = Int(places[lane]) * width + lane
      let isBetter =
        Selecting.precedes(best[lane], best[found.lane], greatest)
        || (!Selecting.precedes(best[found.lane], best[lane], greatest)
          && (takesLast ? index > found.index : index < found.index))
      if isBetter { found = (lane, index) }
    }
    return Int64(found.index)
  }
}

private struct Extreme: ElementVisitor {
  let range: Range<Int>
  let extent: Int
  let inner: Int
  let greatest: Bool
  let takesLast: Bool
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutablePointer<Int64>

  func visit<T: Element>(_: T.Type) {
    for position in range {
      let (block, column) = position.quotientAndRemainder(dividingBy: inner)
      let values = src.assumingMemoryBound(to: T.self) + block * extent * inner + column
      var best = 0
      for index in 1..<max(extent, 1) {
        let candidate = values[index &* inner]
        let current = values[best &* inner]
        if Selecting.precedes(candidate, current, greatest)
          || (takesLast && !Selecting.precedes(current, candidate, greatest))
        {
          best = index
        }
      }
      dst[position] = Int64(best)
    }
  }
}
