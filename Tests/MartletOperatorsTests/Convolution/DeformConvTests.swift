import MartletCore
import Testing

@testable import MartletOperators

@Suite struct DeformConvTests {
  private func noise(_ count: Int, _ seed: Int, _ scale: Double = 1) -> [Double] {
    (0..<count).map { Double(Float((Double(($0 + seed) * 7919 % 2003) / 1001 - 1) * scale)) }
  }

  private struct Case {
    var groups = 1
    var offsetGroups = 1
    var strides = [1, 1]
    var dilations = [1, 1]
    var pads = [0, 0, 0, 0]
    var hasMask = true
    var hasBias = true
    var image = [7, 6]
    var kernel = [3, 2]
  }

  /// Tap by tap over two axes.
  private func plain(
    _ c: Case, _ x: [Double], _ w: [Double], _ offset: [Double], _ b: [Double]?, _ mask: [Double]?,
    batch: Int, channels: Int, filters: Int, out: [Int]
  ) -> [Double] {
    let (taps, pixels) = (c.kernel[0] * c.kernel[1], out[0] * out[1])
    func read(_ plane: Int, _ y: Double, _ x0: Double) -> Double {
      var sum = 0.0
      for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (row, column) = (Int(y.rounded(.down)) + dy, Int(x0.rounded(.down)) + dx)
        guard row >= 0, row < c.image[0], column >= 0, column < c.image[1] else { continue }
        let (fy, fx) = (y - y.rounded(.down), x0 - x0.rounded(.down))
        let (down, across) = (dy == 0 ? 1 - fy : fy, dx == 0 ? 1 - fx : fx)
        sum += down * across * x[(plane * c.image[0] + row) * c.image[1] + column]
      }
      return sum
    }
    var result: [Double] = []
    for n in 0..<batch {
      for m in 0..<filters {
        for p in 0..<pixels {
          var sum = b?[m] ?? 0
          for k in 0..<channels / c.groups {
            let channel = m / (filters / c.groups) * (channels / c.groups) + k
            let og = channel / (channels / c.offsetGroups)
            for t in 0..<taps {
              let first = ((n * c.offsetGroups + og) * taps + t) * 2
              let down = p / out[1] * c.strides[0] - c.pads[0]
              let across = p % out[1] * c.strides[1] - c.pads[1]
              let y = Double(down + t / c.kernel[1] * c.dilations[0]) + offset[first * pixels + p]
              let right = offset[(first + 1) * pixels + p]
              let x0 = Double(across + t % c.kernel[1] * c.dilations[1]) + right
              let factor = mask?[((n * c.offsetGroups + og) * taps + t) * pixels + p] ?? 1
              let weight = w[(m * (channels / c.groups) + k) * taps + t]
              sum += weight * factor * read(n * channels + channel, y, x0)
            }
          }
          result.append(sum)
        }
      }
    }
    return result
  }

  @Test("agrees with a plain sum over taps", arguments: [DType.float32, .float64, .float16])
  func sums(_ dtype: DType) throws {
    var cases = [Case(), Case(groups: 2, offsetGroups: 4, hasMask: false)]
    cases.append(
      Case(
        offsetGroups: 2, strides: [2, 1], dilations: [1, 2], pads: [1, 2, 0, 1], hasBias: false))
    cases.append(Case(groups: 4, image: [30, 31], kernel: [1, 3]))
    for c in cases {
      let (batch, channels, filters) = (2, 4, 8)
      let out = (0..<2).map { axis -> Int in
        let room = c.image[axis] + c.pads[axis] + c.pads[axis + 2]
        return (room - (c.kernel[axis] - 1) * c.dilations[axis] - 1) / c.strides[axis] + 1
      }
      let rows = c.offsetGroups * c.kernel[0] * c.kernel[1]
      func made(_ shape: [Int], _ seed: Int, _ scale: Double = 1) throws -> Tensor {
        try tensor(noise(shape.reduce(1, *), seed, scale), shape, dtype)
      }
      let x = try made([batch, channels] + c.image, 1)
      let w = try made([filters, channels / c.groups] + c.kernel, 2)
      let offset = try made([batch, rows * 2] + out, 3, 2.5)
      let bias = try c.hasBias ? made([filters], 4) : nil
      let mask = try c.hasMask ? made([batch, rows] + out, 5) : nil
      let result = try run(
        "DeformConv", [x, w, offset, bias, mask],
        [
          "group": .int(c.groups), "offset_group": .int(c.offsetGroups),
          "strides": .ints(c.strides), "dilations": .ints(c.dilations), "pads": .ints(c.pads),
        ])[0]
      #expect(result.shape == [batch, filters] + out && result.dtype == dtype)
      let expected = plain(
        c, x.values, w.values, offset.values, bias?.values, mask?.values, batch: batch,
        channels: channels, filters: filters, out: out)
      #expect(
        agree(result.values, expected, dtype == .float16 ? 5e-3 : dtype == .float32 ? 1e-5 : 1e-12))
    }
  }

  @Test("without offsets it is Conv, over one and three axes too") func plainConvolution() throws {
    for (image, kernel) in [([9], [3]), ([6, 7], [3, 3]), ([4, 5, 6], [2, 3, 2])] {
      let axes = image.count
      let x = try tensor(noise(2 * 3 * image.reduce(1, *), 1), [2, 3] + image, .float64)
      let w = try tensor(noise(4 * 3 * kernel.reduce(1, *), 2), [4, 3] + kernel, .float64)
      let attributes: [String: AttributeValue] = [
        "pads": .ints([Int](repeating: 1, count: 2 * axes)),
        "strides": .ints((0..<axes).map { $0 + 1 }),
      ]
      let expected = try run("Conv", [x, w], attributes)[0]
      let out = Array(expected.shape[2...])
      let rows = kernel.reduce(1, *) * axes
      let offset = try tensor(
        [Double](repeating: 0, count: 2 * rows * out.reduce(1, *)), [2, rows] + out, .float64)
      let result = try values("DeformConv", [x, w, offset], attributes)
      #expect(agree(result, expected.values, 1e-13))
    }
  }

  @Test("offsets that are no places read nothing, and bits do not depend on threads")
  func wild() throws {
    let x = try tensor(noise(8 * 40 * 40, 1), [1, 8, 40, 40])
    let w = try tensor(noise(16 * 8 * 9, 2), [16, 8, 3, 3])
    var values = noise(18 * 38 * 38, 3, 4)
    values[7] = .nan
    values[8] = .infinity
    values[9] = -1e38
    let offset = try tensor(values, [1, 18, 38, 38])
    defer { try? ThreadPool.shared.setThreadCount(0) }
    try ThreadPool.shared.setThreadCount(1)
    let alone = try run("DeformConv", [x, w, offset])[0].values
    #expect(alone.allSatisfy { $0.isFinite })
    try ThreadPool.shared.setThreadCount(3)
    #expect(try run("DeformConv", [x, w, offset])[0].values == alone)
  }

  @Test("what does not fit is named") func refusals() throws {
    let (x, w) = (try iota([1, 4, 5, 5]), try iota([2, 4, 3, 3]))
    let offset = try iota([1, 18, 3, 3])
    func error(_ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:]) -> MartletError? {
      martletError { _ = try run("DeformConv", inputs, attributes) }
    }
    #expect(error([x, w, try iota([1, 9, 3, 3])])?.expected == "[1, 18, 3, 3]")
    #expect(error([x, w, try iota([1, 18, 3, 4])])?.input == "offset")
    #expect(error([x, w, offset, try iota([3])])?.input == "B")
    #expect(error([x, w, offset, nil, try iota([1, 18, 3, 3])])?.input == "mask")
    #expect(error([x, try iota([2, 3, 3, 3]), offset])?.input == "W")
    #expect(error([x, w, offset], ["group": .int(0)])?.input == "group")
    #expect(error([x, w, offset], ["group": .int(Int.max)])?.input == "W")
    #expect(error([x, w, offset], ["offset_group": .int(3)])?.input == "X")
    #expect(error([x, w, offset], ["offset_group": .int(-1)])?.input == "offset_group")
    #expect(error([x, w, offset], ["kernel_shape": .ints([2, 2])])?.input == "kernel_shape")
    #expect(error([x, w, try iota([1, 18, 3, 3], .float64)])?.code == .invalidDType)
    #expect(error([try iota([4, 5]), try iota([2, 4]), offset])?.code == .invalidShape)
    let none = try run("DeformConv", [iota([0, 4, 5, 5]), w, iota([0, 18, 3, 3])])[0]
    #expect(none.shape == [0, 2, 3, 3])
  }
}
