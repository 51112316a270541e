import MartletCore
import Testing

@testable import MartletOperators

@Suite struct MaxRoiPoolTests {
  @Test(
    "takes the maximum of each bin of whole elements",
    arguments: [
      DType.float32, .float64, .float16, .bfloat16,
    ])
  func bins(_ dtype: DType) throws {
    let map = try iota([2, 1, 4, 5], dtype)
    let regions = try tensor(
      [0, 0, 0, 4, 3, 1, 1, 1, 2, 2, 0, 3, 3, 3, 3, 1, 0, 0, 100, 100], [4, 5], dtype)
    let result = try run("MaxRoiPool", [map, regions], ["pooled_shape": .ints([2, 2])])[0]
    #expect(result.shape == [4, 1, 2, 2] && result.dtype == dtype)
    #expect(
      result.values == [7, 9, 17, 19, 26, 27, 31, 32, 18, 18, 18, 18, 39, 0, 0, 0])
    let scaled = try values(
      "MaxRoiPool", [map, tensor([0, 0, 0, 8, 6], [1, 5], dtype)],
      ["pooled_shape": .ints([1, 1]), "spatial_scale": .float(0.5)])
    #expect(scaled == [19])
  }

  @Test("a NaN is the maximum, and regions of any size are taken") func wild() throws {
    let map = try tensor([1, .nan, 3, 4], [1, 1, 2, 2])
    let regions = try tensor(
      [0, 0, 0, 1, 1, 0, -1e30, -1e30, 1e30, 1e30, 0, .nan, 0, .nan, 1], [3, 5])
    let result = try values("MaxRoiPool", [map, regions], ["pooled_shape": .ints([1, 1])])
    #expect(result[0].isNaN && result.count == 3)
  }

  @Test("what does not fit is named") func refusals() throws {
    func error(_ map: Tensor, _ regions: Tensor, _ pooled: [Int]) -> MartletError? {
      martletError {
        _ = try run("MaxRoiPool", [map, regions], ["pooled_shape": .ints(pooled)])
      }
    }
    let map = try iota([2, 3, 4, 4])
    for image in [2, -1, Double.nan] {
      let wrong = error(map, try tensor([image, 0, 0, 1, 1], [1, 5]), [1, 1])
      #expect(wrong?.input == "rois" && wrong?.expected == "0..<2")
    }
    #expect(error(map, try iota([1, 4]), [1, 1])?.expected == "[regions, 5]")
    #expect(error(map, try iota([1, 5], .float64), [1, 1])?.code == .invalidDType)
    #expect(error(try iota([3, 4, 4]), try iota([1, 5]), [1, 1])?.input == "X")
    for pooled in [[1], [0, 1], [1, -1], [1, 1, 1]] {
      #expect(error(map, try iota([1, 5]), pooled)?.input == "pooled_shape")
    }
    #expect(
      try run("MaxRoiPool", [map, iota([0, 5])], ["pooled_shape": .ints([2, 3])])[0].shape == [
        0, 3, 2, 3,
      ])
  }
}
