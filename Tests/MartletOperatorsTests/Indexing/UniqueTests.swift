import MartletCore
import Testing

@testable import MartletOperators

@Suite struct UniqueTests {
  private func lists(
    _ x: Tensor, _ attributes: [String: AttributeValue] = [:]
  ) throws -> [[Double]] {
    try run("Unique", [x], attributes, outputs: 4).map(\.values)
  }

  @Test("ONNX's examples", arguments: DType.wideCases.filter { $0 != .bool })
  func examples(_ dtype: DType) throws {
    let flat = try tensor([2, 1, 1, 3, 4, 3], nil, dtype)
    #expect(
      try lists(flat, ["sorted": .int(0)])
        == [[2, 1, 3, 4], [0, 1, 3, 4], [0, 1, 1, 2, 3, 2], [1, 2, 2, 1]])
    #expect(
      try lists(flat) == [[1, 2, 3, 4], [1, 0, 3, 4], [1, 0, 0, 2, 3, 2], [2, 1, 2, 1]])
    let rows = try tensor([1, 0, 0, 1, 0, 0, 2, 3, 4], [3, 3], dtype)
    #expect(
      try lists(rows, ["axis": .int(0)]) == [[1, 0, 0, 2, 3, 4], [0, 2], [0, 0, 1], [2, 1]])
    let deep = try tensor([1, 1, 0, 1, 2, 1, 0, 1, 1, 1, 0, 1, 2, 1, 0, 1], [2, 4, 2], dtype)
    let result = try run("Unique", [deep], ["axis": .int(-2)], outputs: 4)
    #expect(result[0].shape == [2, 3, 2] && result[0].dtype == dtype)
    #expect(result[0].values == [0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 2, 1])
    let others: [[Double]] = [[1, 0, 2], [1, 0, 2, 0], [2, 1, 1]]
    #expect(result[1...].map(\.values) == others)
  }

  @Test(
    "signs, no numbers and zeros of both signs", arguments: [DType.float32, .float64, .float16])
  func order(_ dtype: DType) throws {
    let list: [Double] = [.nan, 1, -0.0, -.infinity, 0, .nan, .infinity, -2]
    let x = try tensor(list, nil, dtype)
    let result = try lists(x)
    let inf = Double.infinity
    let expected: [Double] = [-inf, -2, -0.0, 1, inf, .nan]
    #expect(agree(result[0], expected))
    let others: [[Double]] = [
      [3, 7, 2, 1, 6, 0], [5, 3, 2, 0, 2, 5, 4, 1], [1, 1, 2, 1, 1, 2],
    ]
    #expect(Array(result[1...]) == others)
    let wide = try tensor([-1, 300, -70_000, 0x1p40, 0], nil, .int64)
    #expect(try lists(wide)[0] == [-70_000, -1, 0, 300, 0x1p40])
    let large = try tensor([0, 1], nil, .uint64)
    large.typed(UInt64.self)[0] = .max
    #expect(try lists(large)[1] == [1, 0])
  }

  @Test("strings ascend byte by byte, alone and in slices") func strings() throws {
    let x = try Tensor(strings: ["b", "", "é", "a", "b", ""], [6])
    let all = try run("Unique", [x], outputs: 4)
    #expect(all[0].strings == ["", "a", "b", "é"] && all[1].values == [1, 3, 0, 2])
    #expect(all[3].values == [2, 1, 2, 1])
    let pairs = try Tensor(strings: ["b", "x", "a", "z", "b", "x"], [3, 2])
    let rows = try run("Unique", [pairs], ["axis": .int(0), "sorted": .int(0)], outputs: 3)
    #expect(rows[0].strings == ["b", "x", "a", "z"] && rows[2].values == [0, 1, 0])
  }

  @Test("nothing, scalars, and only the results that are asked for") func edges() throws {
    #expect(try lists(tensor([], [0])) == [[], [], [], []])
    #expect(try run("Unique", [tensor([], [2, 0])], ["axis": .int(1)])[0].shape == [2, 0])
    #expect(try run("Unique", [tensor([], [2, 0])], ["axis": .int(0)])[0].shape == [1, 0])
    #expect(try run("Unique", [tensor([5], [])])[0].shape == [1])
    #expect(try run("Unique", [tensor([5, 5])], outputs: 2).count == 2)
    #expect(throws: MartletError.self) { try run("Unique", [tensor([5])], ["axis": .int(1)]) }
    let types = try infer(
      "Unique", [ValueType(dtype: .int8, shape: [.symbol("n"), .known(3)])], ["axis": .int(0)],
      outputs: 4)
    #expect(types.map(\.text) == ["int8[?, 3]", "int64[?]", "int64[n]", "int64[?]"])
  }

  @Test("many elements", arguments: [1, 3]) func many(_ bytes: Int) throws {
    let count = 50_000
    let bound = bytes == 1 ? 200 : 1 << 20
    let list = (0..<count).map { ($0 &* 48271) % bound - bound / 3 }
    let result = try run("Unique", [tensor(list.map { Double($0) }, nil, .int32)], outputs: 4)
    let expected = Set(list).sorted()
    #expect(result[0].values == expected.map { Double($0) })
    let (y, inverse) = (result[0].values, result[2].values)
    #expect(zip(list, inverse).allSatisfy { Double($0) == y[Int($1)] })
    #expect(result[3].values.reduce(0, +) == Double(count))
  }
}
