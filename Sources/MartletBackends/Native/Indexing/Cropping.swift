import Glibc
import MartletCore

/// Boxes of images, resampled to one size.
package struct Cropping {
  /// Of the images, [N, C, H, W] contiguous float32.
  package var channels: Int
  package var height: Int
  package var width: Int
  /// Of each crop.
  package var cropHeight: Int
  package var cropWidth: Int
  package var isNearest: Bool
  /// What stands where a place lies outside its image.
  package var outside: Float

  package init(
    channels: Int, height: Int, width: Int, cropHeight: Int, cropWidth: Int, isNearest: Bool,
    outside: Float
  ) {
    self.channels = channels
    self.height = height
    self.width = width
    self.cropHeight = cropHeight
    self.cropWidth = cropWidth
    self.isNearest = isNearest
    self.outside = outside
  }

  /// A place along one axis: the two neighbours and how far it is from the first; nil: outside.
  private struct Place {
    let low: Int
    let high: Int
    let share: Float
  }

  /// `boxes` [count, 4]: y1, x1, y2, x2 as parts of the images; `images` their images' numbers.
  package func run(
    _ src: UnsafePointer<Float>, boxes: UnsafePointer<Float>, images: [Int],
    into dst: UnsafeMutablePointer<Float>, pool: ThreadPool
  ) {
    let size = cropHeight * cropWidth
    guard size > 0, channels > 0 else { return }
    pool.parallelFor(images.count) { index in
      let box = boxes + 4 * index
      let rows = places(box[0], box[2], height, cropHeight)
      let columns = places(box[1], box[3], width, cropWidth)
      for channel in 0..<channels {
        let image = src + (images[index] * channels + channel) * height * width
        let target = dst + (index * channels + channel) * size
        for (i, row) in rows.enumerated() {
          for (j, column) in columns.enumerated() {
            target[i * cropWidth + j] = value(image, row, column)
          }
        }
      }
    }
  }

  private func value(_ image: UnsafePointer<Float>, _ row: Place?, _ column: Place?) -> Float {
    guard let row, let column else { return outside }
    if isNearest { return image[row.low * width + column.low] }
    let (top, bottom) = (image + row.low * width, image + row.high * width)
    let above = top[column.low] + (top[column.high] - top[column.low]) * column.share
    let below = bottom[column.low] + (bottom[column.high] - bottom[column.low]) * column.share
    return above + (below - above) * row.share
  }

  private func places(_ begin: Float, _ end: Float, _ extent: Int, _ count: Int) -> [Place?] {
    let last = Float(extent - 1)
    // Beyond 2^24 the last place may be rounded up.
    func index(_ place: Float) -> Int { min(Int(place), extent - 1) }
    let step = count > 1 ? (end - begin) * last / Float(count - 1) : 0
    return (0..<count).map { sample in
      let place = count > 1 ? begin * last + Float(sample) * step : 0.5 * (begin + end) * last
      guard place >= 0, place <= last else { return nil }
      if isNearest {
        let nearest = index(place.rounded(.toNearestOrAwayFromZero))
        return Place(low: nearest, high: nearest, share: 0)
      }
      let low = place.rounded(.down)
      return Place(low: index(low), high: index(place.rounded(.up)), share: place - low)
    }
  }
}
