import MartletCore
import Testing

@testable import MartletOperators

@Suite struct Col2ImTests {
  /// Element by element, over any number of axes.
  private func plain(
    _ columns: [Double], _ image: [Int], _ block: [Int], _ strides: [Int], _ dilations: [Int],
    _ pads: [Int]
  ) -> [Double] {
    let blocks = image.indices.map {
      (image[$0] + pads[$0] + pads[$0 + image.count] - (block[$0] - 1) * dilations[$0] - 1)
        / strides[$0] + 1
    }
    func unravel(_ index: Int, _ shape: [Int]) -> [Int] {
      var (rest, result) = (index, shape)
      for axis in shape.indices.reversed() {
        result[axis] = rest % shape[axis]
        rest /= shape[axis]
      }
      return result
    }
    let (taps, places) = (block.reduce(1, *), blocks.reduce(1, *))
    let pixels = image.reduce(1, *)
    var result = [Double](repeating: 0, count: columns.count / (taps * places) * pixels)
    for (index, value) in columns.enumerated() {
      let (row, place) = index.quotientAndRemainder(dividingBy: places)
      let (tap, at) = (unravel(row % taps, block), unravel(place, blocks))
      var offset = 0
      var isInside = true
      for axis in image.indices {
        let pixel = at[axis] * strides[axis] + tap[axis] * dilations[axis] - pads[axis]
        isInside = isInside && pixel >= 0 && pixel < image[axis]
        offset = offset * image[axis] + pixel
      }
      if isInside { result[row / taps * pixels + offset] += value }
    }
    return result
  }

  @Test(
    "agrees with a plain sum over one to four axes",
    arguments: [
      DType.float32, .float64, .int32, .float16,
    ])
  func sums(_ dtype: DType) throws {
    for (image, block, strides, dilations, pads) in [
      ([7], [3], [2], [1], [1, 1]), ([5, 5], [2, 3], [1, 1], [1, 1], [0, 0, 0, 0]),
      ([6, 5], [2, 2], [3, 2], [2, 1], [1, 0, 2, 3]),
      (
        [4, 3, 5], [1, 2, 3], [1, 1, 2], [1, 1, 1],
        [0, 1, 1, 0, 1, 2]
      ),
      (
        [2, 3, 2, 3], [2, 1, 2, 2], [1, 1, 1, 1], [1, 1, 1, 2],
        [0, 0, 0, 1, 0, 0, 0, 0]
      ), ([2], [1], [5], [1], [3, 9]),
    ] {
      var places = 1
      for axis in image.indices {
        let room = image[axis] + pads[axis] + pads[axis + image.count]
        places *= (room - (block[axis] - 1) * dilations[axis] - 1) / strides[axis] + 1
      }
      let rows = 3 * block.reduce(1, *)
      let columns = (0..<2 * rows * places).map { Double($0 * 7919 % 23) }
      let result = try run(
        "Col2Im", [tensor(columns, [2, rows, places], dtype), ints(image), ints(block)],
        ["strides": .ints(strides), "dilations": .ints(dilations), "pads": .ints(pads)])[0]
      #expect(result.shape == [2, 3] + image && result.dtype == dtype)
      #expect(result.values == plain(columns, image, block, strides, dilations, pads))
    }
  }

  @Test("of bool any counts") func flags() throws {
    let columns = try tensor([1, 1, 0, 0, 1, 0], [1, 2, 3], .bool)
    let result = try run("Col2Im", [columns, ints([4]), ints([2])])[0]
    #expect(result.dtype == .bool && result.values == [1, 1, 1, 0])
  }

  @Test("what does not fit is named") func refusals() throws {
    func error(
      _ input: Tensor, _ image: [Int], _ block: [Int], _ attributes: [String: AttributeValue] = [:]
    ) -> MartletError? {
      martletError { _ = try run("Col2Im", [input, ints(image), ints(block)], attributes) }
    }
    let input = try iota([1, 4, 9])
    #expect(error(input, [5, 4], [2, 2])?.expected == "[N, C * 4, 12]")
    #expect(error(try iota([1, 5, 9]), [4, 4], [2, 2])?.input == "input")
    #expect(error(try iota([4, 9]), [4, 4], [2, 2])?.code == .invalidShape)
    #expect(error(input, [4, 4], [5, 2])?.input == "block_shape")
    #expect(error(input, [4, 4], [2])?.input == "block_shape")
    #expect(error(input, [4, 4], [0, 2])?.code == .invalidShape)
    #expect(error(input, [-4, 4], [2, 2])?.code == .invalidShape)
    #expect(error(input, [Int.max, Int.max], [2, 2])?.code == .invalidShape)
    #expect(error(input, [4, 4], [2, 2], ["strides": .ints([0, 1])])?.input == "strides")
    #expect(error(input, [4, 4], [2, 2], ["pads": .ints([0, 1])])?.input == "pads")
  }
}
