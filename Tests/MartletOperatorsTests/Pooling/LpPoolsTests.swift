import Glibc
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct LpPoolsTests {
  private static let dtypes: [DType] = [.float32, .float64, .float16, .bfloat16]

  private func norm(_ values: [Double], _ p: Double) -> Double {
    pow(values.map { pow(abs($0), p) }.reduce(0, +), 1 / p)
  }

  @Test("gives the norm of each window's taps in the image", arguments: dtypes)
  func windows(_ dtype: DType) throws {
    let image = try tensor([3, -4, 12, 0, 5], [1, 1, 5], dtype)
    func pool(_ attributes: [String: AttributeValue]) throws -> [Double] {
      try values("LpPool", [image], attributes.merging(["kernel_shape": .ints([2])]) { $1 })
    }
    let tolerance = dtype == .bfloat16 ? 1e-2 : dtype == .float16 ? 1e-3 : 1e-6
    #expect(agree(try pool([:]), [5, norm([4, 12], 2), 12, 5], tolerance))
    #expect(try pool(["p": .int(1)]) == [7, 16, 12, 5])
    #expect(
      agree(try pool(["p": .int(3)]), [norm([3, 4], 3), norm([4, 12], 3), 12, 5], tolerance))
    #expect(agree(try pool(["pads": .ints([1, 0]), "strides": .ints([3])]), [3, 12], tolerance))
    #expect(agree(try pool(["dilations": .ints([3])]), [3, norm([4, 5], 2)], tolerance))
    #expect(
      agree(
        try pool(["strides": .ints([2]), "ceil_mode": .int(1)]), [5, 12, 5], tolerance))
    #expect(
      agree(
        try pool(["auto_pad": .string("SAME_UPPER"), "strides": .ints([2])]), [5, 12, 5],
        tolerance))
    #expect(
      agree(
        try pool(["auto_pad": .string("SAME_LOWER"), "strides": .ints([2])]),
        [3, norm([4, 12], 2), 5], tolerance))
  }

  @Test("pools images and volumes as sums of powers") func axes() throws {
    let volume = try iota([2, 2, 3, 4, 5], .float64)
    let result = try values("LpPool", [volume], ["kernel_shape": .ints([2, 3, 2]), "p": .int(4)])
    #expect(result.count == 4 * 2 * 2 * 4)
    let taps = [0, 1, 5, 6, 10, 11].flatMap { [$0, $0 + 20] }
    #expect(agree([result[0]], [norm(taps.map { Double($0) }, 4)], 1e-14))
    #expect(agree([result[17]], [norm(taps.map { Double($0 + 61) }, 4)], 1e-14))
  }

  @Test("the norm of a whole image", arguments: dtypes) func whole(_ dtype: DType) throws {
    let image = try tensor([3, -4, 0, 0, 6, 8, 0, 0], [1, 2, 2, 2], dtype)
    let result = try run("GlobalLpPool", [image])[0]
    #expect(result.shape == [1, 2, 1, 1] && result.values == [5, 10])
    #expect(try values("GlobalLpPool", [image], ["p": .int(1)]) == [7, 14])
    #expect(try values("GlobalLpPool", [iota([1, 2, 0])]) == [0, 0])
    #expect(try run("GlobalLpPool", [iota([0, 2, 3])])[0].shape == [0, 2, 1])
  }

  @Test("what does not fit is named") func refusals() throws {
    for name in ["LpPool", "GlobalLpPool"] {
      let attributes: [String: AttributeValue] =
        name == "LpPool" ? ["kernel_shape": .ints([1])] : [:]
      for p in [0, -2, Int.min] {
        let wrong = martletError {
          _ = try run(name, [iota([1, 1, 3])], attributes.merging(["p": .int(p)]) { $1 })
        }
        #expect(wrong?.input == "p" && wrong?.operatorName == name)
      }
      #expect(
        martletError { _ = try run(name, [iota([1, 3])], attributes) }?.code == .invalidShape)
      #expect(
        martletError { _ = try run(name, [iota([1, 1, 3], .int32)], attributes) }?.code
          == .invalidDType)
    }
    #expect(martletError { _ = try run("LpPool", [iota([1, 1, 3])]) }?.input == "kernel_shape")
  }
}
