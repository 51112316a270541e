import MartletCore

/// Columns of blocks that slide over an image of any number of axes, added into it.
package struct ImageColumns {
  package let image: [Int]
  package let block: [Int]
  package let strides: [Int]
  package let dilations: [Int]
  package let begin: [Int]
  /// Blocks along each axis.
  package let blocks: [Int]

  package init(
    image: [Int], block: [Int], strides: [Int], dilations: [Int], begin: [Int], blocks: [Int]
  ) {
    self.image = image
    self.block = block
    self.strides = strides
    self.dilations = dilations
    self.begin = begin
    self.blocks = blocks
  }

  /// Adds src [planes, block, blocks] into dst [planes, image], both contiguous, of one dtype (no 16-bit
  /// float) and not empty: an element's taps in ascending order.
  package func add(_ src: Tensor, into dst: Tensor, planes: Int, pool: ThreadPool) {
    let isParallel = pool.threadCount(forNanoseconds: min(src.count, 1 << 40)) > 1
    func run(_ plane: Int) {
      src.dtype.visit(
        Adder(
          columns: self, plane: plane, elements: src.count / planes, pixels: dst.count / planes,
          src: src.pointer, dst: dst.pointer))
    }
    guard isParallel else { return (0..<planes).forEach(run) }
    pool.parallelFor(planes, run)
  }

  private struct Adder: ElementVisitor {
    let columns: ImageColumns
    let plane: Int
    let elements: Int
    let pixels: Int
    let src: UnsafeMutableRawPointer
    let dst: UnsafeMutableRawPointer

    func visit<T: Element>(_: T.Type) {
      let (image, blocks) = (columns.image, columns.blocks)
      let last = image.count - 1
      let pitch = Shape.contiguousStrides(image)
      var from = UnsafePointer(src.assumingMemoryBound(to: T.self) + plane * elements)
      let to = dst.assumingMemoryBound(to: T.self) + plane * pixels
      let step = columns.strides[last]
      var tap = [Int](repeating: 0, count: image.count)
      for _ in 0..<columns.block.reduce(1, *) {
        let offsets = tap.indices.map { tap[$0] * columns.dilations[$0] - columns.begin[$0] }
        // The blocks whose tap falls on the image along the innermost axis.
        let shift = offsets[last]
        let first = min(blocks[last], shift < 0 ? (step - 1 - shift) / step : 0)
        let room = image[last] - 1 - shift
        let end = max(first, min(blocks[last], room < 0 ? 0 : room / step + 1))
        var row = [Int](repeating: 0, count: last)
        for _ in 0..<blocks[..<last].reduce(1, *) {
          if let place = place(row, offsets, pitch) {
            var target = to + place + first * step + shift
            for index in first..<end {
              target[0] = T.sum(target[0], from[index])
              if index + 1 < end { target += step }
            }
          }
          from += blocks[last]
          Self.advance(&row, blocks)
        }
        Self.advance(&tap, columns.block)
      }
    }

    /// The image's row that a row of blocks falls on, or nil.
    private func place(_ row: [Int], _ offsets: [Int], _ pitch: [Int]) -> Int? {
      var place = 0
      for axis in row.indices {
        let index = row[axis] * columns.strides[axis] + offsets[axis]
        guard index >= 0, index < columns.image[axis] else { return nil }
        place += index * pitch[axis]
      }
      return place
    }

    private static func advance(_ index: inout [Int], _ extents: [Int]) {
      for axis in index.indices.reversed() {
        index[axis] += 1
        if index[axis] < extents[axis] { return }
        index[axis] = 0
      }
    }
  }
}
