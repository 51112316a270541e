import MartletCore
import Testing

@testable import MartletOperators

@Suite struct AffineGridTests {
  private static let dtypes: [DType] = [.float32, .float64, .float16]

  @Test("places are evenly spaced and mapped", arguments: dtypes) func plane(_ dtype: DType) throws
  {
    // Twice x and 1 more; y and x exchanged in the second.
    let theta = try tensor([2, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0.5], [2, 2, 3], dtype)
    let edges = try run("AffineGrid", [theta, ints([2, 7, 2, 4])])[0]
    #expect(edges.shape == [2, 2, 4, 2] && edges.dtype == dtype)
    let xs = [-0.75, -0.25, 0.25, 0.75]
    let rows: [Double] = [-0.5, 0.5]
    let first: [Double] = rows.flatMap { y in xs.flatMap { x -> [Double] in [2 * x + 1, y] } }
    let second: [Double] = rows.flatMap { y in xs.flatMap { x -> [Double] in [y, x + 0.5] } }
    #expect(edges.values == first + second)
    let centres = try values(
      "AffineGrid", [theta, ints([2, 7, 1, 3])], ["align_corners": .int(1)])
    #expect(centres == [-1, 0, 1, 0, 3, 0, 0, -0.5, 0, 0.5, 0, 1.5])
  }

  @Test("volumes, and no places") func volume() throws {
    let theta = try tensor([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 5], [1, 3, 4])
    let result = try run("AffineGrid", [theta, ints([1, 1, 2, 1, 2])])[0]
    #expect(result.shape == [1, 2, 1, 2, 3])
    #expect(result.values == [-0.5, 0, 4.5, 0.5, 0, 4.5, -0.5, 0, 5.5, 0.5, 0, 5.5])
    #expect(try run("AffineGrid", [theta, ints([1, 1, 2, 0, 2])])[0].shape == [1, 2, 0, 2, 3])
  }

  @Test("what does not fit is named") func refusals() throws {
    let theta = try iota([1, 2, 3])
    func error(_ theta: Tensor, _ size: Tensor) -> MartletError? {
      martletError { _ = try run("AffineGrid", [theta, size]) }
    }
    #expect(error(theta, try ints([1, 1, 2]))?.input == "size")
    #expect(error(theta, try ints([2, 1, 2, 2]))?.expected == "[2, 2, 3]")
    #expect(error(theta, try ints([1, 1, 2, 2, 2]))?.expected == "[1, 3, 4]")
    #expect(error(theta, try ints([1, 1, -2, 2]))?.code == .invalidShape)
    #expect(error(theta, try ints([1, 1, Int.max, Int.max]))?.code == .invalidShape)
    #expect(error(try iota([1, 2, 3], .int32), try ints([1, 1, 2, 2]))?.code == .invalidDType)
    #expect(error(theta, try tensor([1, 1, 2, 2], nil, .int32))?.code == .invalidDType)
    let size = ValueType(dtype: .int64, shape: [.known(4)])
    #expect(
      try infer("AffineGrid", [ValueType(dtype: .float32, shape: nil), size])[0].text
        == "float32[?, ?, ?, 2]")
  }
}
