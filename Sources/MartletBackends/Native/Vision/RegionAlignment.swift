import MartletCore

/// Regions of feature maps averaged, or their maximum taken, over a grid of bins, at places between the
/// elements.
///
/// A bin's value over its samples' places, linear along both axes, is a sum over rows of the map of
/// sums over columns, each weighted by all samples that touch it: what is summed is as long as the bin
/// is large, however many samples it has. Everything is computed in the maps' type.
package struct RegionAlignment {
  package var channels: Int
  package var height: Int
  package var width: Int
  package var pooledHeight: Int
  package var pooledWidth: Int
  /// Samples of a bin along each axis; 0: as many as it has elements.
  package var samplingRatio: Int
  package var spatialScale: Float
  /// Whether coordinates count from the corners of elements, not from their centres, and regions may
  /// be smaller than an element.
  package var isHalfPixel: Bool
  package var isMax: Bool

  package init(
    channels: Int, height: Int, width: Int, pooledHeight: Int, pooledWidth: Int,
    samplingRatio: Int, spatialScale: Float, isHalfPixel: Bool, isMax: Bool
  ) {
    self.channels = channels
    self.height = height
    self.width = width
    self.pooledHeight = pooledHeight
    self.pooledWidth = pooledWidth
    self.samplingRatio = samplingRatio
    self.spatialScale = spatialScale
    self.isHalfPixel = isHalfPixel
    self.isMax = isMax
  }

  /// dst [regions, channels, pooledHeight, pooledWidth] from src [images, channels, height, width] and
  /// regions [regions, 4] of x1, y1, x2, y2, each in the image that `images` names; all contiguous, none
  /// empty, and of one dtype, float32 or float64.
  package func run(
    src: Tensor, regions: Tensor, images: [Int], dst: Tensor, pool: ThreadPool
  ) {
    // Few regions and many channels: several items share a region.
    let parts = min(max(1, 16 / images.count), (channels + 15) / 16)
    let each = (channels + parts - 1) / parts
    let isParallel =
      pool.threadCount(forNanoseconds: Int(min(Double(dst.count) * 16, 1e15))) > 1
    func runItem(_ item: Int) {
      let (region, part) = item.quotientAndRemainder(dividingBy: parts)
      let range = part * each..<max(part * each, min((part + 1) * each, channels))
      if src.dtype == .float64 {
        align(region, images[region], range, src.typed(Double.self), regions, dst)
      } else {
        align(region, images[region], range, src.typed(Float.self), regions, dst)
      }
    }
    guard isParallel else { return (0..<images.count * parts).forEach(runItem) }
    pool.parallelFor(images.count * parts, runItem)
  }

  private func align<T: RealElement>(
    _ region: Int, _ image: Int, _ range: Range<Int>, _ src: UnsafePointer<T>, _ regions: Tensor,
    _ dst: Tensor
  ) {
    let corners = regions.typed(T.self) + 4 * region
    let columns = RegionAxis<T>(
      corners[0], corners[2], extent: width, bins: pooledWidth, self)
    let rows = RegionAxis<T>(
      corners[1], corners[3], extent: height, bins: pooledHeight, self)
    let planes = src + image * channels * height * width
    let out = dst.typed(T.self) + region * channels * pooledHeight * pooledWidth
    for channel in range {
      let plane = planes + channel * height * width
      let target = out + channel * pooledHeight * pooledWidth
      if isMax {
        writeMaxima(plane, rows, columns, into: target)
      } else {
        writeMeans(plane, rows, columns, into: target)
      }
    }
  }

  private func writeMeans<T: RealElement>(
    _ plane: UnsafePointer<T>, _ rows: RegionAxis<T>, _ columns: RegionAxis<T>,
    into dst: UnsafeMutablePointer<T>
  ) {
    let samples = rows.sampleCount * columns.sampleCount
    let count = samples > 1 ? samples : 1
    rows.taps.withUnsafeBufferPointer { rowTaps in
      columns.taps.withUnsafeBufferPointer { columnTaps in
        for row in 0..<pooledHeight {
          let down = rowTaps[rows.bins[row].taps]
          for column in 0..<pooledWidth {
            let across = columnTaps[columns.bins[column].taps]
            var sum: T = 0
            for y in down {
              let line = plane + y.element &* width
              var part: T = 0
              for x in across { part += x.weight * line[x.element] }
              sum += y.weight * part
            }
            dst[row &* pooledWidth &+ column] = sum / count
          }
        }
      }
    }
  }

  /// The maximum of each bin's samples, a sample's value being the greatest of its four weighted
  /// elements, as ONNX's reference has it.
  private func writeMaxima<T: RealElement>(
    _ plane: UnsafePointer<T>, _ rows: RegionAxis<T>, _ columns: RegionAxis<T>,
    into dst: UnsafeMutablePointer<T>
  ) {
    for row in 0..<pooledHeight {
      for column in 0..<pooledWidth {
        let (down, across) = (rows.bins[row], columns.bins[column])
        var best: T? = rows.hasOutside(down) || columns.hasOutside(across) ? 0 : nil
        if rows.sampleCount <= 0 || columns.sampleCount <= 0 { best = 0 }
        for y in rows.samples[down.samples] {
          let (low, high) = (plane + y.low * width, plane + y.high * width)
          for x in columns.samples[across.samples] {
            let near = T.greatest(
              y.lowWeight * x.lowWeight * low[x.low], y.lowWeight * x.highWeight * low[x.high])
            let far = T.greatest(
              y.highWeight * x.lowWeight * high[x.low], y.highWeight * x.highWeight * high[x.high])
            let value = T.greatest(near, far)
            best = best.map { T.greatest($0, value) } ?? value
          }
        }
        dst[row * pooledWidth + column] = best ?? 0
      }
    }
  }
}

/// The samples of a region's bins along one axis that lie on the map.
private struct RegionAxis<T: RealElement> {
  struct Sample {
    let low: Int
    let high: Int
    let lowWeight: T
    let highWeight: T
  }

  struct Tap {
    let element: Int
    var weight: T
  }

  struct Bin {
    /// Of `taps`: the elements that its samples touch, in ascending order.
    var taps = 0..<0
    /// Of `samples`, those that are kept.
    var samples = 0..<0
    /// Samples on the map.
    var inside = 0
  }

  /// Samples of each bin, those outside the map too; a whole number.
  let sampleCount: T
  private(set) var bins: [Bin] = []
  /// Kept for means alone.
  private(set) var taps: [Tap] = []
  /// Kept for maxima alone.
  private(set) var samples: [Sample] = []

  init(_ low: T, _ high: T, extent: Int, bins count: Int, _ alignment: RegionAlignment) {
    let scale = T(alignment.spatialScale)
    let offset: T = alignment.isHalfPixel ? 0.5 : 0
    let start = low * scale - offset
    var length = (high * scale - offset) - start
    if !alignment.isHalfPixel { length = length > 1 ? length : 1 }
    let size = length / T(count)
    let grid =
      alignment.samplingRatio > 0 ? T(alignment.samplingRatio) : size.rounded(.up)
    sampleCount = grid
    bins.reserveCapacity(count)
    for bin in 0..<count {
      append(start + T(bin) * size, size, grid, extent: extent, keeps: alignment.isMax)
    }
  }

  /// Whether some of a bin's samples are outside the map.
  func hasOutside(_ bin: Bin) -> Bool { T(bin.inside) < sampleCount }

  private mutating func append(
    _ origin: T, _ size: T, _ grid: T, extent: Int, keeps: Bool
  ) {
    var bin = Bin()
    let (firstTap, firstSample) = (taps.count, samples.count)
    let candidates = candidates(origin, size, grid, extent)
    for number in 0..<candidates.count {
      // Elements ascend also where a region's ends are exchanged.
      let sample =
        size < 0 ? candidates.upperBound - 1 - number : candidates.lowerBound + number
      var place = origin + (T(sample) + 0.5) * size / grid
      guard place >= -1, place <= T(extent) else { continue }
      bin.inside += 1
      place = place > 0 ? place : 0
      var low = Int(place)
      var high = low + 1
      if low >= extent - 1 {
        (low, high) = (extent - 1, extent - 1)
        place = T(low)
      }
      let highWeight = place - T(low)
      if keeps {
        samples.append(
          Sample(low: low, high: high, lowWeight: 1 - highWeight, highWeight: highWeight))
      } else {
        add(1 - highWeight, at: low, from: firstTap)
        if highWeight > 0 { add(highWeight, at: high, from: firstTap) }
      }
    }
    bin.taps = firstTap..<taps.count
    bin.samples = firstSample..<samples.count
    bins.append(bin)
  }

  /// Adds to what the bin, whose taps begin at `first`, has of an element: one of its last two.
  private mutating func add(_ weight: T, at element: Int, from first: Int) {
    for place in stride(from: taps.count - 1, through: max(first, taps.count - 2), by: -1)
    where taps[place].element == element {
      taps[place].weight += weight
      return
    }
    taps.append(Tap(element: element, weight: weight))
  }

  /// Samples among which are all that lie on the map, from -1 to `extent`: regions may be far larger.
  private func candidates(_ origin: T, _ size: T, _ grid: T, _ extent: Int) -> Range<Int> {
    guard grid > 0, size == size, origin == origin else { return 0..<0 }
    let count: Int = Casting.clamped(Double(grid))
    let step = Double(size) / Double(grid)
    guard step.isFinite, step != 0 else { return 0..<min(count, 1 << 16) }
    let ends = [(-1 - Double(origin)) / step, (Double(extent) - Double(origin)) / step]
    // Places are rounded; far from the map so coarsely that it does not matter which are taken.
    let slack = min(2 + Double(grid) * 0x1p-20, 4096)
    let first: Int = Casting.clamped((min(ends[0], ends[1]) - slack).rounded(.down))
    let last: Int = Casting.clamped((max(ends[0], ends[1]) + slack).rounded(.up))
    let begin = min(max(first, 0), count)
    return begin..<max(begin, min(last, count))
  }
}
