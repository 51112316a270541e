import MartletCore
import Testing

@testable import MartletOperators

@Suite struct RoiAlignTests {
  private func align(
    _ map: Tensor, _ regions: [Double], _ images: [Int], _ attributes: [String: AttributeValue],
    _ dtype: DType = .float32
  ) throws -> [Double] {
    try values(
      "RoiAlign", [map, tensor(regions, [images.count, 4], dtype), ints(images)], attributes)
  }

  /// Sample by sample, as ONNX's reference goes.
  private func plain(
    _ map: [Double], _ height: Int, _ width: Int, _ region: [Double], bins: (Int, Int),
    ratio: Int, scale: Double, isHalf: Bool, isMax: Bool
  ) -> [Double] {
    let offset = isHalf ? 0.5 : 0
    let corners = region.map { $0 * scale - offset }
    var (w, h) = (corners[2] - corners[0], corners[3] - corners[1])
    if !isHalf { (w, h) = (max(w, 1), max(h, 1)) }
    let size = (h / Double(bins.0), w / Double(bins.1))
    let grid = ratio > 0 ? (ratio, ratio) : (Int(size.0.rounded(.up)), Int(size.1.rounded(.up)))
    var result: [Double] = []
    for ph in 0..<bins.0 {
      for pw in 0..<bins.1 {
        var (sum, best) = (0.0, -Double.infinity)
        for iy in 0..<max(grid.0, 0) {
          for ix in 0..<max(grid.1, 0) {
            var y = corners[1] + Double(ph) * size.0 + (Double(iy) + 0.5) * size.0 / Double(grid.0)
            var x = corners[0] + Double(pw) * size.1 + (Double(ix) + 0.5) * size.1 / Double(grid.1)
            if y < -1 || y > Double(height) || x < -1 || x > Double(width) {
              best = max(best, 0)
              continue
            }
            (y, x) = (max(y, 0), max(x, 0))
            var (y0, x0) = (Int(y), Int(x))
            var (y1, x1) = (y0 + 1, x0 + 1)
            if y0 >= height - 1 { (y0, y1, y) = (height - 1, height - 1, Double(height - 1)) }
            if x0 >= width - 1 { (x0, x1, x) = (width - 1, width - 1, Double(width - 1)) }
            let (ly, lx) = (y - Double(y0), x - Double(x0))
            let parts = [
              (1 - ly) * (1 - lx) * map[y0 * width + x0], (1 - ly) * lx * map[y0 * width + x1],
              ly * (1 - lx) * map[y1 * width + x0], ly * lx * map[y1 * width + x1],
            ]
            sum += parts.reduce(0, +)
            best = max(best, parts.max() ?? 0)
          }
        }
        let isEmpty = grid.0 <= 0 || grid.1 <= 0
        result.append(
          isMax ? (isEmpty ? 0 : best) : sum / Double(max(grid.0 * grid.1, 1)))
      }
    }
    return result
  }

  @Test("agrees with a sum over samples", arguments: [DType.float32, .float64, .float16])
  func samples(_ dtype: DType) throws {
    let (height, width) = (9, 11)
    let map = (0..<height * width).map { Double($0 * 37 % 64) / 8 - 3 }
    let regions: [[Double]] = [
      [0, 0, 8, 8], [1.5, 2.25, 7.75, 6.5], [-4, -3, 30, 20], [5, 5, 5.25, 5.5], [9, 7, 2, 1],
      [-9, -9, -4, -4], [10.5, 8, 11, 9],
    ]
    for mode in ["avg", "max"] {
      for coordinates in ["half_pixel", "output_half_pixel"] {
        for ratio in [0, 2, 3] {
          for scale in [1, 0.5] {
            let result = try align(
              tensor(map, [1, 1, height, width], dtype), regions.flatMap { $0 },
              [Int](repeating: 0, count: regions.count),
              [
                "mode": .string(mode), "output_height": .int(3), "output_width": .int(2),
                "sampling_ratio": .int(ratio), "spatial_scale": .float(Float(scale)),
                "coordinate_transformation_mode": .string(coordinates),
              ], dtype)
            let expected = regions.flatMap {
              plain(
                map, height, width, $0, bins: (3, 2), ratio: ratio, scale: scale,
                isHalf: coordinates == "half_pixel", isMax: mode == "max")
            }
            #expect(
              agree(result, expected, dtype == .float16 ? 2e-3 : 2e-5),
              "\(mode) \(coordinates) \(ratio) \(scale): \(result) \(expected)")
          }
        }
      }
    }
  }

  @Test("each region is of its image, and bits do not depend on threads") func images() throws {
    let map = try iota([3, 40, 12, 12])
    let regions = (0..<21).flatMap { index -> [Double] in
      [Double(index % 5), Double(index % 3), Double(index % 7 + 5), 11]
    }
    let images = (0..<21).map { $0 % 3 }
    let attributes: [String: AttributeValue] = [
      "output_height": .int(7), "output_width": .int(7), "sampling_ratio": .int(2),
    ]
    defer { try? ThreadPool.shared.setThreadCount(0) }
    try ThreadPool.shared.setThreadCount(1)
    let alone = try align(map, regions, images, attributes)
    try ThreadPool.shared.setThreadCount(3)
    #expect(try align(map, regions, images, attributes) == alone)
    let one = try align(map, Array(regions[16..<20]), [1], attributes)
    let size = 40 * 49
    #expect(one == Array(alone[4 * size..<5 * size]))
  }

  @Test("regions far larger than the map take no longer than the map") func huge() throws {
    let map = try tensor([Double](repeating: 2, count: 16), [1, 1, 4, 4])
    let result = try align(
      map,
      [
        -1e9, -1e9, 1e9, 1e9, .nan, 0, 3, 3, 0, 0, .infinity, 3, -.infinity, 0, 3, 3, 1e30, 1e30,
        -1e30, -1e30,
      ], [0, 0, 0, 0, 0], ["output_height": .int(2), "output_width": .int(2)])
    #expect(result.allSatisfy { $0.magnitude < 1e-6 })
  }

  @Test("what does not fit is named") func refusals() throws {
    let map = try iota([2, 3, 4, 4])
    func error(
      _ map: Tensor, _ regions: Tensor, _ images: Tensor,
      _ attributes: [String: AttributeValue] = [:]
    ) -> MartletError? {
      martletError { _ = try run("RoiAlign", [map, regions, images], attributes) }
    }
    let (regions, images) = (try iota([2, 4]), try ints([0, 1]))
    for image in [2, -1, Int.max] {
      let wrong = error(map, regions, try ints([0, image]))
      #expect(wrong?.input == "batch_indices" && wrong?.expected == "0..<2")
    }
    #expect(error(map, try iota([3, 4]), images)?.expected == "[2, 4]")
    #expect(error(map, try iota([2, 4], .float64), images)?.code == .invalidDType)
    #expect(error(map, regions, try tensor([0, 1], nil, .int32))?.code == .invalidDType)
    #expect(error(try iota([3, 4, 4]), regions, images)?.input == "X")
    #expect(error(try iota([2, 3, 0, 4]), regions, images)?.code == .invalidShape)
    #expect(error(map, regions, images, ["mode": .string("min")])?.expected == "avg or max")
    #expect(error(map, regions, images, ["output_width": .int(0)])?.input == "output_width")
    #expect(error(map, regions, images, ["sampling_ratio": .int(-1)])?.actual == "-1")
    let none = try run("RoiAlign", [map, iota([0, 4]), ints([])])[0]
    #expect(none.shape == [0, 3, 1, 1])
  }
}
