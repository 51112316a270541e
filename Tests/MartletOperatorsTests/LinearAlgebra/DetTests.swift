import MartletCore
import Testing

@testable import MartletOperators

@Suite struct DetTests {
  @Test(
    "determinants of matrices in a batch",
    arguments: [
      DType.float32, .float64, .float16, .bfloat16,
    ])
  func values(_ dtype: DType) throws {
    let matrices = try tensor(
      [1, 2, 3, 4, 1, 2, 2, 1, 1, 3, 3, 1, 0, 1, 1, 0], [2, 2, 2, 2], dtype)
    let result = try run("Det", [matrices])[0]
    #expect(result.shape == [2, 2] && result.dtype == dtype)
    #expect(agree(result.values, [-2, -3, -8, -1]))
    #expect(try run("Det", [matrices.permuted([0, 1, 3, 2])])[0].shape == [2, 2])
    #expect(matrices.values[0] == 1)
  }

  @Test("of any order, singular and empty ones too") func orders() throws {
    #expect(try run("Det", [tensor([7], [1, 1])])[0].values == [7])
    #expect(try run("Det", [tensor([], [0, 0])])[0].values == [1])
    #expect(try run("Det", [iota([0, 3, 3])])[0].shape == [0])
    #expect(try run("Det", [iota([3, 3], .float64)])[0].values.allSatisfy { abs($0) < 1e-14 })
    #expect(try run("Det", [tensor([1, 2, 2, 4], [2, 2])])[0].values == [0])
    // A product of triangular matrices with known diagonals: 1 below, 1 ... n on and 1 above it.
    let n = 9
    var product = [Double](repeating: 0, count: n * n)
    for i in 0..<n {
      for j in 0..<n {
        for k in 0...min(i, j) { product[i * n + j] += k == j ? Double(k + 1) : 1 }
      }
    }
    let expected = (1...n).reduce(1.0) { $0 * Double($1) }
    #expect(
      agree(try run("Det", [tensor(product, [n, n], .float64)])[0].values, [expected], 1e-12))
  }

  @Test("what is not square is named") func refusals() throws {
    for shape in [[2], [2, 3], []] {
      let wrong = martletError { _ = try run("Det", [iota(shape)]) }
      #expect(wrong?.code == .invalidShape && wrong?.expected == "[..., M, M]")
    }
    #expect(martletError { _ = try run("Det", [iota([2, 2], .int32)]) }?.code == .invalidDType)
    let early = martletError {
      _ = try infer("Det", [ValueType(dtype: .float32, shape: [.known(2), .known(3)])])
    }
    #expect(early?.actual == "[2, 3]")
  }
}
