import MartletCore
import Testing

@testable import MartletOperators

@Suite struct CDistTests {
  @Test("CDist squares differences, of rows of any width", arguments: [DType.float32, .float64])
  func distances(_ dtype: DType) throws {
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (40, 33, 19), (2, 3, 64), (2, 2, 0), (0, 2, 3)] {
      let a = try tensor((0..<m * k).map { Double($0 * 37 % 64) / 4 }, [m, k], dtype)
      let b = try tensor((0..<n * k).map { Double($0 * 29 % 64) / 4 }, [n, k], dtype)
      let (x, y) = (a.values, b.values)
      let expected = (0..<m * n).map { place in
        (0..<k).reduce(0.0) { sum, i in
          let difference = x[place / n * k + i] - y[place % n * k + i]
          return sum + difference * difference
        }
      }
      #expect(try values("com.microsoft.CDist", [a, b]) == expected)
      let roots = try values("com.microsoft.CDist", [a, b], ["metric": .string("euclidean")])
      #expect(agree(roots, expected.map { $0.squareRoot() }))
    }
    let far = try tensor([1e4, 1e4 + 1], [1, 2])
    let near = try tensor([1e4, 1e4], [1, 2])
    #expect(try values("com.microsoft.CDist", [far, near]) == [1])
    for (a, b) in [([2, 3], [2, 4]), ([6], [2, 3]), ([2, 3], [1, 2, 3])] {
      let fault = martletError { _ = try run("com.microsoft.CDist", [iota(a), iota(b)]) }
      #expect(fault?.code == .invalidShape)
    }
    let metric: [String: AttributeValue] = ["metric": .string("cityblock")]
    let refused = martletError { _ = try run("com.microsoft.CDist", [far, near], metric) }
    #expect(refused?.code == .unsupported && refused?.actual == "cityblock")
  }
}
