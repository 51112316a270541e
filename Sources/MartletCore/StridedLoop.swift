/// Nested loops over up to four operands of one shape, merged to as few axes as their strides allow.
///
/// Chunks of the loops run on the thread pool. A body computes each element from that element's
/// operands alone, so how the loops are cut never shows in the results.
package struct StridedLoop {
  /// Extents of the merged axes, outermost first; at least one axis.
  package private(set) var extents: [Int] = []
  /// Per axis: bytes from one element to the next, one lane per operand.
  package private(set) var strides: [SIMD4<Int>] = []
  /// Number of elements.
  package let count: Int

  /// Loops over `operands`, all of the shape `shape` (broadcast before), at most four.
  package init(_ shape: [Int], _ operands: Tensor...) {
    var count = 1
    for axis in shape.indices {
      let extent = shape[axis]
      count *= extent
      if extent == 1 { continue }
      var step = SIMD4<Int>()
      for (lane, operand) in operands.enumerated() {
        step[lane] = operand.strides[axis] &* operand.dtype.wholeByteCount
      }
      if let outer = strides.last, outer == step &* extent {
        extents[extents.count - 1] *= extent
        strides[strides.count - 1] = step
      } else {
        extents.append(extent)
        strides.append(step)
      }
    }
    self.count = count
    if extents.isEmpty {
      extents = [1]
      strides = [SIMD4<Int>()]
    }
  }

  /// Bytes per step of the innermost axis, one lane per operand.
  package var innerStrides: SIMD4<Int> { strides[strides.count - 1] }

  /// Makes the axis at `source` the one next to the innermost.
  package mutating func moveNextToInnermost(_ source: Int) {
    extents.insert(extents.remove(at: source), at: extents.count - 1)
    strides.insert(strides.remove(at: source), at: strides.count - 1)
  }

  /// Calls `body(offsets, n)` for runs of n elements along the innermost axis; `offsets` are the
  /// bytes from each operand's base. About `grain` elements go to a thread at a time; without a pool all
  /// are the caller's.
  package func run(on pool: ThreadPool?, grain: Int, _ body: (SIMD4<Int>, Int) -> Void) {
    guard count > 0 else { return }
    let inner = extents[extents.count - 1]
    let rows = count / inner
    let step = innerStrides
    if inner > grain {
      // Long runs are cut at multiples of 64 elements.
      let piece = (grain + 63) / 64 * 64
      let pieces = (inner + piece - 1) / piece
      parts(rows * pieces, of: pool) { unit in
        let start = unit % pieces * piece
        let row = unit / pieces
        walk(row..<row + 1, axes: extents.count - 1) { offsets in
          body(offsets &+ step &* start, min(piece, inner - start))
        }
      }
    } else {
      let rowsPerChunk = max(1, grain / inner)
      parts((rows + rowsPerChunk - 1) / rowsPerChunk, of: pool) { chunk in
        let first = chunk * rowsPerChunk
        walk(first..<min(first + rowsPerChunk, rows), axes: extents.count - 1) { offsets in
          body(offsets, inner)
        }
      }
    }
  }

  /// Calls `body(offsets, rows, columns)` for blocks of the two innermost axes; a lone axis is one row.
  package func runBlocks(
    on pool: ThreadPool?, grain: Int, _ body: (SIMD4<Int>, Int, Int) -> Void
  ) {
    guard count > 0 else { return }
    let columns = extents[extents.count - 1]
    guard extents.count > 1 else {
      run(on: pool, grain: grain) { body($0, 1, $1) }
      return
    }
    let rows = extents[extents.count - 2]
    let rowStep = strides[strides.count - 2]
    let blocks = count / (rows * columns)
    let axes = extents.count - 2
    if rows * columns > grain {
      // Rows in multiples of 16, so that tiles of a transposition stay whole.
      let piece = min(rows, (max(1, grain / columns) + 15) / 16 * 16)
      let pieces = (rows + piece - 1) / piece
      parts(blocks * pieces, of: pool) { unit in
        let start = unit % pieces * piece
        let block = unit / pieces
        walk(block..<block + 1, axes: axes) { offsets in
          body(offsets &+ rowStep &* start, min(piece, rows - start), columns)
        }
      }
    } else {
      let perChunk = max(1, grain / (rows * columns))
      parts((blocks + perChunk - 1) / perChunk, of: pool) { chunk in
        let first = chunk * perChunk
        walk(first..<min(first + perChunk, blocks), axes: axes) { body($0, rows, columns) }
      }
    }
  }

  private func parts(_ count: Int, of pool: ThreadPool?, _ body: (Int) -> Void) {
    guard let pool else {
      for index in 0..<count { body(index) }
      return
    }
    pool.parallelFor(count, body)
  }

  /// Visits the positions `range` of the outermost `axes` axes in row-major order.
  private func walk(_ range: Range<Int>, axes: Int, _ body: (SIMD4<Int>) -> Void) {
    if axes == 0 {
      body(SIMD4<Int>())
      return
    }
    withUnsafeTemporaryAllocation(of: Int.self, capacity: axes) { index in
      var offsets = SIMD4<Int>()
      var rest = range.lowerBound
      for axis in (0..<axes).reversed() {
        index[axis] = rest % extents[axis]
        rest /= extents[axis]
        offsets &+= strides[axis] &* index[axis]
      }
      for _ in range {
        body(offsets)
        var axis = axes - 1
        while axis >= 0 {
          index[axis] += 1
          offsets &+= strides[axis]
          if index[axis] < extents[axis] { break }
          offsets &-= strides[axis] &* extents[axis]
          index[axis] = 0
          axis -= 1
        }
      }
    }
  }
}
