import Testing

@testable import MartletCore

@Suite struct ShapeTests {
  @Test(
    "counts elements",
    arguments: [([], 1), ([3], 3), ([2, 3, 4], 24), ([5, 0, 7], 0), ([Int.max, 0], 0)])
  func counts(shape: [Int], expected: Int) throws {
    #expect(try Shape.elementCount(shape) == expected)
  }

  @Test(
    "refuses shapes that cannot be addressed",
    arguments: [[-1], [Int.max, 2], [1 << 40, 1 << 40], Array(repeating: 1, count: 33)])
  func refuses(shape: [Int]) {
    #expect(throws: MartletError.self) { try Shape.elementCount(shape) }
  }

  @Test("refuses byte counts that overflow") func refusesBytes() {
    #expect(throws: MartletError.self) { try Shape.byteCount([Int.max / 2], .float32) }
  }

  @Test("broadcasts as NumPy does") func broadcasts() {
    #expect(Shape.broadcast([2, 1, 4], [3, 1]) == [2, 3, 4])
    #expect(Shape.broadcast([], [3]) == [3])
    #expect(Shape.broadcast([0], [1]) == [0])
    #expect(Shape.broadcast([2], [3]) == nil)
  }

  @Test("normalises axes") func axes() throws {
    #expect(try Shape.normalizedAxis(-1, rank: 3, operatorName: "x") == 2)
    #expect(throws: MartletError.self) {
      try Shape.normalizedAxis(3, rank: 3, operatorName: "x")
    }
  }
}
