import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ReductionsTests {
  @Test("trailing, leading, middle, split and all axes are folded") func axes() throws {
    let x = try iota([2, 3, 4])
    let trailing = try run("ReduceSum", [x, ints([-1])])[0]
    #expect(trailing.shape == [2, 3, 1] && trailing.values == [6, 22, 38, 54, 70, 86])
    let leading = try run("ReduceSum", [x, ints([0])], ["keepdims": .int(0)])[0]
    #expect(leading.shape == [3, 4] && leading.values[0] == 12 && leading.values[11] == 34)
    #expect(try values("ReduceSum", [x, ints([1])]) == [12, 15, 18, 21, 48, 51, 54, 57])
    #expect(try values("ReduceSum", [x, ints([0, 2])]) == [60, 92, 124])
    #expect(try values("ReduceSum", [x]) == [276])
    let kept = try run("ReduceSum", [x], ["noop_with_empty_axes": .int(1)])[0]
    #expect(kept.shape == [2, 3, 4])
    #expect(
      try values("ReduceMax", [x.permuted([2, 0, 1]), ints([0])]) == [3, 7, 11, 15, 19, 23])
  }

  @Test("every function in every number type", arguments: ArithmeticTests.numbers)
  func types(_ dtype: DType) throws {
    let x = try tensor([1, 2, 3, 4, 0, 2], [2, 3], dtype)
    let rows = try ints([1])
    let columns = try ints([0])
    #expect(try values("ReduceSum", [x, rows]) == [6, 6])
    #expect(try values("ReduceSum", [x, columns]) == [5, 2, 5])
    #expect(try values("ReduceMean", [x, rows]) == [2, 2])
    #expect(try values("ReduceMax", [x, columns]) == [4, 2, 3])
    #expect(try values("ReduceMin", [x, rows]) == [1, 0])
    #expect(try values("ReduceProd", [x, rows]) == [6, 0])
    #expect(try values("ReduceL1", [x, columns]) == [5, 2, 5])
    #expect(try values("ReduceSumSquare", [x, rows]) == [14, 20])
    #expect(try values("ReduceL2", [tensor([3, 4], nil, dtype)]) == [5])
    #expect(try values("ArgMax", [x], ["axis": .int(1)]) == [2, 0])
    #expect(try values("ArgMin", [x], ["axis": .int(0), "keepdims": .int(0)]) == [0, 1, 1])
  }

  @Test("logarithms of sums do not overflow") func logSumExp() throws {
    let x = try tensor([1000, 1000, -1000, -1000], [2, 2])
    let expected = [1000 + 0.693147, -1000 + 0.693147]
    #expect(agree(try values("ReduceLogSumExp", [x, ints([1])]), expected, 1e-6))
    #expect(try values("ReduceLogSumExp", [tensor([-.infinity, -.infinity])]) == [-.infinity])
    #expect(agree(try values("ReduceLogSum", [tensor([1, 2, 3])]), [1.791759]))
  }

  @Test("over nothing a fold is its neutral element") func empty() throws {
    let x = try tensor([], [2, 0])
    #expect(try values("ReduceSum", [x, ints([1])]) == [0, 0])
    #expect(try values("ReduceProd", [x, ints([1])]) == [1, 1])
    #expect(try values("ReduceMax", [x, ints([1])]) == [-.infinity, -.infinity])
    #expect(try values("ReduceMean", [x, ints([1])])[0].isNaN)
    #expect(try values("ReduceMean", [tensor([], [0], .int32)]) == [0])
    #expect(throws: MartletError.self) { try run("ArgMax", [x], ["axis": .int(1)]) }
  }

  @Test(
    "a row's bits do not depend on the batch, wherever the batch axis is", arguments: [1, 2, 7])
  func batchInvariance(_ batch: Int) throws {
    let n = 1000
    let noise = (0..<n * 7).map { Double(($0 * 7919) % 1013) / 97 - 5 }
    for (shape, axes) in [([7, n], [1]), ([7, n, 1], [1]), ([7, 10, 100], [1, 2])] {
      let all = try tensor(noise, shape)
      let whole = try values("ReduceSum", [all, ints(axes)], ["keepdims": .int(0)])
      let part = all.sliced(axis: 0, start: 0, count: batch, step: 1)
      let some = try values("ReduceSum", [part, ints(axes)], ["keepdims": .int(0)])
      #expect(Array(whole.prefix(batch)) == some)
    }
    let turned = try tensor(noise, [n, 7])
    let whole = try values("ReduceSum", [turned, ints([0])])
    let part = turned.sliced(axis: 1, start: 0, count: batch, step: 1)
    #expect(Array(whole.prefix(batch)) == (try values("ReduceSum", [part, ints([0])])))
  }

  /// Whole numbers, so that some are equal, and now and then a NaN.
  private func noise(_ shape: [Int], nanEvery period: Int) throws -> Tensor {
    let count = shape.reduce(1, *)
    return try tensor(
      (0..<count).map { $0 % period == period - 1 ? .nan : Double(($0 * 7919 + 13) % 997 % 61) },
      shape)
  }

  private func precedes(_ a: Double, _ b: Double, _ greatest: Bool) -> Bool {
    a.isNaN ? !b.isNaN : greatest ? a > b : a < b
  }

  @Test(
    "extremes along any axis are those of a plain search, NaN first, the first or last of equals",
    arguments: [1, 2, 7, 255, 256, 257, 700, 1500], [1, 3, 300])
  func extremes(_ extent: Int, _ inner: Int) throws {
    for (period, name, isLast) in [
      (1 << 20, "ArgMax", 0), (1 << 20, "ArgMax", 1), (1 << 20, "ArgMin", 0),
      (1 << 20, "ArgMin", 1), (577, "ArgMax", 0), (577, "ArgMin", 1), (131, "ArgMax", 1),
      (131, "ArgMin", 0),
    ] {
      let x = try noise([2, extent, inner], nanEvery: period)
      let all = x.values
      let expected = (0..<2 * inner).map { position in
        let line = (0..<extent).map {
          all[(position / inner * extent + $0) * inner + position % inner]
        }
        return line.indices.dropFirst().reduce(0) { best, index in
          let (new, old) = (line[index], line[best])
          let isTie = !precedes(new, old, name == "ArgMax") && !precedes(old, new, name == "ArgMax")
          return precedes(new, old, name == "ArgMax") || (isTie && isLast == 1) ? index : best
        }
      }
      let attributes: [String: AttributeValue] = [
        "axis": .int(1), "select_last_index": .int(isLast),
      ]
      #expect(try values(name, [x], attributes) == expected.map { Double($0) })
    }
  }

  @Test("the first few of long rows are those of a sort", arguments: [1, 5, 60, 300])
  func topOfLongRows(_ k: Int) throws {
    for (period, isLargest) in [(1 << 20, 1), (1 << 20, 0), (401, 1), (401, 0)] {
      let x = try noise([3, 2000], nanEvery: period)
      let found = try run(
        "TopK", [x, ints([k])], ["largest": .int(isLargest)], outputs: 2)[1].values
      let all = x.values
      let expected = (0..<3).flatMap { row in
        Array(
          (0..<2000).sorted { a, b in
            let (x, y) = (all[row * 2000 + a], all[row * 2000 + b])
            return precedes(x, y, isLargest == 1) || (!precedes(y, x, isLargest == 1) && a < b)
          }.prefix(k))
      }
      #expect(found == expected.map { Double($0) })
    }
  }

  @Test("TopK orders, breaks ties by place, and takes any axis") func topK() throws {
    let x = try tensor([3, 1, 4, 1, 5, 9, 2, 6], [2, 4])
    let best = try run("TopK", [x, ints([2])], outputs: 2)
    #expect(best[0].values == [4, 3, 9, 6] && best[1].values == [2, 0, 1, 3])
    let least = try run("TopK", [x, ints([2])], ["largest": .int(0)], outputs: 2)
    #expect(least[0].values == [1, 1, 2, 5] && least[1].values == [1, 3, 2, 0])
    let columns = try run("TopK", [x, ints([1])], ["axis": .int(0)], outputs: 2)
    #expect(columns[0].values == [5, 9, 4, 6] && columns[1].values == [1, 1, 0, 1])
    let long = try run("TopK", [iota([1000]), ints([3])], outputs: 2)
    #expect(long[1].values == [999, 998, 997])
    #expect(throws: MartletError.self) { try run("TopK", [x, ints([5])], outputs: 2) }
  }
}
