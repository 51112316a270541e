import MartletCore
import Testing

@testable import MartletOperators

@Suite struct TensorScatterTests {
  /// What ONNX's pseudocode gives, by elements of [batch, inner, extent, width].
  private func expected(
    _ past: [Double], _ update: [Double], _ shape: [Int], _ count: Int, _ starts: [Int],
    isCircular: Bool
  ) -> [Double] {
    var result = past
    for batch in 0..<shape[0] {
      for inner in 0..<shape[1] {
        for slice in 0..<count {
          var place = starts[batch] + slice
          if isCircular { place = (place % shape[2] + shape[2]) % shape[2] }
          for column in 0..<shape[3] {
            let row = batch * shape[1] + inner
            result[(row * shape[2] + place) * shape[3] + column] =
              update[(row * count + slice) * shape[3] + column]
          }
        }
      }
    }
    return result
  }

  private static let dtypes: [DType] = [
    .float32, .float16, .int64, .bool, .uint8, .float8e4m3fn, .int4, .uint2, .float6e2m3,
  ]

  @Test("slices go where each sample's index says, linear and circular", arguments: dtypes)
  func places(dtype: DType) throws {
    let shape = [3, 2, 5, 3]
    let past = try tensor((0..<90).map { Double($0 % 2) }, shape, dtype)
    for (count, starts, mode) in [
      (2, [0, 3, 1], "linear"), (5, [0, 0, 0], "linear"), (1, [4, 0, 4], "linear"),
      (0, [5, 0, 2], "linear"), (2, [4, 3, 7], "circular"), (5, [1, 2, 10], "circular"),
      (3, [-1, -5, -7], "circular"),
    ] {
      let update = try tensor(
        (0..<6 * count * 3).map { Double(($0 + 1) % 2) }, [3, 2, count, 3], dtype)
      let result = try run(
        "TensorScatter", [past, update, ints(starts)], ["mode": .string(mode)])[0]
      #expect(result.dtype == dtype && result.shape == shape)
      #expect(
        result.values
          == expected(
            past.values, update.values, shape, count, starts, isCircular: mode == "circular"))
    }
  }

  @Test("strings and strided caches are taken, and indices may be missing") func kinds() throws {
    let past = try Tensor(strings: ["a", "b", "c", "d"], [1, 4])
    let update = try Tensor(strings: ["x", "y"], [1, 2])
    let result = try run("TensorScatter", [past, update, ints([1])], ["axis": .int(1)])[0]
    #expect(result.strings == ["a", "x", "y", "d"] && past.strings == ["a", "b", "c", "d"])
    let turned = try iota([3, 1, 2]).permuted([1, 0, 2])
    #expect(
      try values("TensorScatter", [turned, tensor([7, 8], [1, 1, 2])]) == [7, 8, 2, 3, 4, 5])
  }

  @Test("what does not fit is named") func refusals() throws {
    let past = try iota([2, 3, 4])
    func error(
      _ update: Tensor, _ indices: Tensor?, _ attributes: [String: AttributeValue] = [:]
    ) -> MartletError? {
      martletError { _ = try run("TensorScatter", [past, update, indices], attributes) }
    }
    let one = try iota([2, 1, 4])
    for start in [3, -1, Int.max, Int.min] {
      let wrong = error(one, try ints([0, start]))
      #expect(wrong?.code == .invalidArgument && wrong?.input == "write_indices")
      #expect(wrong?.expected == "0...2" && wrong?.actual == "\(start)")
    }
    for shape in [[2, 4, 4], [2, 1, 3], [1, 1, 4], [2, 4]] {
      let wrong = error(try iota(shape), try ints([0, 0]))
      #expect(wrong?.code == .invalidShape && wrong?.input == "update")
    }
    #expect(error(one, try ints([0]))?.input == "write_indices")
    #expect(error(one, try tensor([0, 0], nil, .int32))?.code == .invalidDType)
    #expect(error(try iota([2, 1, 4], .int32), nil)?.code == .invalidDType)
    #expect(error(one, nil, ["axis": .int(0)])?.input == "axis")
    #expect(error(one, nil, ["axis": .int(3)])?.code == .invalidShape)
    #expect(error(one, nil, ["mode": .string("round")])?.expected == "linear or circular")
    let early = martletError {
      _ = try infer("TensorScatter", [ValueType(dtype: .float32, shape: [.known(4)]), nil])
    }
    #expect(early?.operatorName == "TensorScatter")
  }

  @Test("Int.min and Int.max are indices of a circle") func far() throws {
    let result = try values(
      "TensorScatter", [iota([2, 3, 1]), tensor([7, 8], [2, 1, 1]), ints([Int.min, Int.max])],
      ["mode": .string("circular")])
    // Int.min = 3 * -3074457345618258603 + 1, Int.max = 3 * 3074457345618258602 + 1.
    #expect(result == [0, 7, 2, 3, 8, 5])
  }
}
