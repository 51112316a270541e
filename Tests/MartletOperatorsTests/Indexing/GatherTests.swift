import MartletCore
import Testing

@testable import MartletOperators

@Suite struct GatherTests {
  @Test("Gather takes any axis, negative indices and strided data") func gather() throws {
    let x = try iota([3, 4])
    #expect(try values("Gather", [x, ints([2, -3])]) == [8, 9, 10, 11, 0, 1, 2, 3])
    let columns = try run("Gather", [x, ints([0, -1], [1, 2])], ["axis": .int(1)])[0]
    #expect(columns.shape == [3, 1, 2] && columns.values == [0, 3, 4, 7, 8, 11])
    #expect(try values("Gather", [x.permuted([1, 0]), ints([1])]) == [1, 5, 9])
    let scalar = try run("Gather", [x, ints([-1], [])])[0]
    #expect(scalar.shape == [4] && scalar.storage === x.storage)
  }

  @Test("an index out of range is named with its bound") func bounds() throws {
    let x = try iota([3, 4])
    let error = #expect(throws: MartletError.self) { try run("Gather", [x, ints([0, 3])]) }
    #expect(error?.message == "Gather: index 3 is out of range for axis 0 of extent 3")
    #expect(throws: MartletError.self) { try run("Gather", [x, ints([-4])]) }
    #expect(throws: MartletError.self) { try run("Gather", [tensor([], [0, 2]), ints([0])]) }
    #expect(throws: MartletError.self) {
      try run("GatherElements", [x, ints([0, 5], [1, 2])], ["axis": .int(1)])
    }
    #expect(throws: MartletError.self) { try run("GatherND", [x, ints([0, 4], [1, 2])]) }
    #expect(throws: MartletError.self) {
      try run("ScatterND", [x, ints([3], [1, 1]), iota([1, 4])])
    }
    #expect(throws: MartletError.self) {
      try run("GatherND", [x, ints([0], [1, 1])], ["batch_dims": .int(1)])
    }
  }

  @Test("elements and slices at index tensors") func elements() throws {
    let x = try iota([2, 3])
    #expect(
      try values("GatherElements", [x, ints([2, 0, -1, 1], [2, 2])], ["axis": .int(1)])
        == [2, 0, 5, 4])
    #expect(try values("GatherND", [x, ints([1, 0, 0, 2], [2, 2])]) == [3, 2])
    #expect(try values("GatherND", [x, ints([1], [1, 1])]) == [3, 4, 5])
    let batched = try values(
      "GatherND", [iota([2, 2, 2]), ints([1, 0], [2, 1])], ["batch_dims": .int(1)])
    #expect(batched == [2, 3, 4, 5])
  }

  @Test(
    "elements by every axis, of fewer places than data has, and put back where they came from",
    arguments: [DType.int32, .int64], [DType.float32, .int8, .float64])
  func axes(index: DType, dtype: DType) throws {
    let (shape, places) = ([4, 5, 6], [3, 2, 5])
    let x = try tensor((0..<120).map { Double($0) }, shape, dtype)
    for axis in 0..<3 {
      let picks = (0..<30).map { ($0 * 7 + axis) % shape[axis] - ($0 % 3 == 0 ? shape[axis] : 0) }
      let indices = try tensor(picks.map { Double($0) }, places, index)
      var offsets: [Int] = []
      for (place, pick) in picks.enumerated() {
        var at = [place / 10, place / 5 % 2, place % 5]
        at[axis] = pick < 0 ? pick + shape[axis] : pick
        offsets.append((at[0] * 5 + at[1]) * 6 + at[2])
      }
      let got = try values("GatherElements", [x, indices], ["axis": .int(axis - 3)])
      #expect(got == offsets.map { Double($0) })
      let updates = try tensor(offsets.map { Double(100 - $0) }, places, dtype)
      let scattered = try values("ScatterElements", [x, indices, updates], ["axis": .int(axis)])
      var expected = (0..<120).map { Double($0) }
      for offset in offsets { expected[offset] = Double(100 - offset) }
      #expect(scattered == expected)
      let error = #expect(throws: MartletError.self) {
        let bad = try tensor(picks.map { Double($0 == picks[17] ? 9 : $0) }, places, index)
        return try run("GatherElements", [x, bad], ["axis": .int(axis)])
      }
      #expect(error?.message.contains("index 9 is out of range for axis \(axis)") == true)
    }
  }

  @Test("scatters replace or reduce, in order", arguments: [DType.float32, .int8, .bfloat16])
  func scatter(_ dtype: DType) throws {
    let x = try tensor([1, 2, 3, 4], nil, dtype)
    let indices = try ints([1, 3, 1])
    let updates = try tensor([10, 20, 5], nil, dtype)
    func scattered(_ reduction: String) throws -> [Double] {
      try values("ScatterElements", [x, indices, updates], ["reduction": .string(reduction)])
    }
    #expect(try scattered("none") == [1, 5, 3, 20])
    #expect(try scattered("add") == [1, 17, 3, 24])
    #expect(try scattered("mul") == [1, 100, 3, 80])
    #expect(try scattered("max") == [1, 10, 3, 20])
    #expect(try scattered("min") == [1, 2, 3, 4])
    #expect(
      try values("ScatterND", [x, ints([0, 2], [2, 1]), tensor([7, 8], nil, dtype)]) == [
        7, 2, 8, 4,
      ])
    #expect(throws: MartletError.self) { try scattered("sum") }
  }

  @Test("one-hot, non-zero and compressed") func selections() throws {
    let hot = try run("OneHot", [ints([1, -1, 9]), ints([3], []), tensor([0, 1])])[0]
    #expect(hot.shape == [3, 3] && hot.values == [0, 1, 0, 0, 0, 1, 0, 0, 0])
    let front = try values(
      "OneHot", [ints([1, 0]), ints([2], []), tensor([2, 5])], ["axis": .int(0)])
    #expect(front == [2, 5, 5, 2])
    let places = try run("NonZero", [tensor([1, 0, 0, 3], [2, 2])])[0]
    #expect(places.shape == [2, 2] && places.values == [0, 1, 0, 1])
    let condition = try tensor([0, 1], nil, .bool)
    #expect(try values("Compress", [iota([2, 3]), condition], ["axis": .int(1)]) == [1, 4])
    #expect(try values("Compress", [iota([2, 3]), condition]) == [1])
  }
}
