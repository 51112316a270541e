import MartletCore

/// The maximum of each bin of regions of feature maps. A NaN is the maximum.
package struct RegionMaximum {
  package var channels: Int
  package var height: Int
  package var width: Int
  package var pooledHeight: Int
  package var pooledWidth: Int
  package var spatialScale: Float

  package init(
    channels: Int, height: Int, width: Int, pooledHeight: Int, pooledWidth: Int,
    spatialScale: Float
  ) {
    self.channels = channels
    self.height = height
    self.width = width
    self.pooledHeight = pooledHeight
    self.pooledWidth = pooledWidth
    self.spatialScale = spatialScale
  }

  /// dst [regions, channels, pooledHeight, pooledWidth] from src [images, channels, height, width], both
  /// float32 or both float64, and the float64 regions [regions, 5] of an image, x1, y1, x2 and y2; all
  /// contiguous.
  package func run(src: Tensor, regions: Tensor, dst: Tensor, pool: ThreadPool) {
    let count = dst.count / (pooledHeight * pooledWidth)
    let isParallel =
      pool.threadCount(forNanoseconds: Int(min(Double(dst.count) * 32, 1e15))) > 1
    func runItem(_ item: Int) {
      let (region, channel) = item.quotientAndRemainder(dividingBy: channels)
      let corners = regions.typed(Double.self) + 5 * region
      if src.dtype == .float64 {
        write(corners, channel, src.typed(Double.self), dst.typed(Double.self), item)
      } else {
        write(corners, channel, src.typed(Float.self), dst.typed(Float.self), item)
      }
    }
    guard isParallel else { return (0..<count).forEach(runItem) }
    pool.parallelFor(count, runItem)
  }

  private func write<T: RealElement>(
    _ corners: UnsafePointer<Double>, _ channel: Int, _ src: UnsafePointer<T>,
    _ dst: UnsafeMutablePointer<T>, _ item: Int
  ) {
    let plane = src + (Int(corners[0]) * channels + channel) * height * width
    let target = dst + item * pooledHeight * pooledWidth
    let rows = Axis(corners[2], corners[4], height, pooledHeight, spatialScale)
    let columns = Axis(corners[1], corners[3], width, pooledWidth, spatialScale)
    for row in 0..<pooledHeight {
      let down = rows.range(row)
      for column in 0..<pooledWidth {
        let across = columns.range(column)
        var best: T = down.isEmpty || across.isEmpty ? 0 : T.lowest
        for y in down {
          for x in across { best = T.greatest(best, plane[y &* width &+ x]) }
        }
        target[row * pooledWidth + column] = best
      }
    }
  }

  /// A region along one axis.
  private struct Axis {
    private let start: Double
    private let size: Float
    private let extent: Int

    init(_ low: Double, _ high: Double, _ extent: Int, _ bins: Int, _ scale: Float) {
      self.extent = extent
      // In float32, as who rounds to whole elements must, to find the same ones.
      let first = (Float(low) * scale).rounded(.toNearestOrAwayFromZero)
      let last = (Float(high) * scale).rounded(.toNearestOrAwayFromZero)
      start = Double(first)
      let length = Double(last) - start + 1
      size = Float(length > 1 ? length : 1) / Float(bins)
    }

    func range(_ bin: Int) -> Range<Int> {
      let low = Double((Float(bin) * size).rounded(.down)) + start
      let high = Double((Float(bin + 1) * size).rounded(.up)) + start
      guard low < high else { return 0..<0 }
      let first = Int(min(max(low, 0), Double(extent)))
      return first..<max(first, Int(min(max(high, 0), Double(extent))))
    }
  }
}
