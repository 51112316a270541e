import MartletCore
import Testing

@testable import MartletOperators

@Suite struct MovementTests {
  @Test(
    "matrices are turned, narrow ones too, whatever the size of an element",
    arguments: [DType.uint8, .bfloat16, .float32, .float64])
  func turns(_ dtype: DType) throws {
    for rows in [1, 2, 3, 4, 5, 9, 40] {
      for columns in [1, 2, 3, 4, 5, 17, 100] {
        let count = 2 * rows * columns
        let x = try tensor((0..<count).map { Double($0 % 127) }, [2, rows, columns], dtype)
        let all = x.values
        let expected = (0..<count).map { place in
          let (block, rest) = place.quotientAndRemainder(dividingBy: rows * columns)
          return all[block * rows * columns + rest % rows * columns + rest / rows]
        }
        let turned = try run("Transpose", [x], ["perm": .ints([0, 2, 1])])[0]
        #expect(turned.shape == [2, columns, rows] && turned.values == expected)
      }
    }
  }

  /// What stands at `index` of an axis of `extent` places, as each mode has it; nil: the constant.
  private func place(_ index: Int, _ extent: Int, _ mode: String) -> Int? {
    if index >= 0 && index < extent { return index }
    switch mode {
    case "edge": return index < 0 ? 0 : extent - 1
    case "wrap": return (index % extent + extent) % extent
    case "reflect":
      var place = index
      while place < 0 || place >= extent {
        place = place < 0 ? -place : 2 * (extent - 1) - place
      }
      return place
    default: return nil
    }
  }

  @Test("a vector is padded, and one without elements filled") func vectors() throws {
    for (pads, expected) in [
      ([2, 1], [7, 7, 1, 2, 3, 7]), ([0, 0], [1, 2, 3]), ([-2, 0], [3]),
      ([-1, 4], [2, 3, 7, 7, 7, 7]),
    ] as [([Int], [Double])] {
      #expect(try values("Pad", [tensor([1, 2, 3]), ints(pads), tensor([7], [])]) == expected)
    }
    let filled = try run("Pad", [tensor([], [0, 2]), ints([1, 0, 1, 1]), tensor([7], [])])[0]
    #expect(filled.shape == [2, 3] && filled.values == [7, 7, 7, 7, 7, 7])
  }

  @Test(
    "pads are what each mode says, cut where they are negative",
    arguments: ["constant", "edge", "wrap", "reflect"], [DType.float32, .uint8, .float64])
  func pads(_ mode: String, _ dtype: DType) throws {
    let shape = [2, 3, 4, 5]
    let x = try tensor((0..<120).map { Double($0) }, shape, dtype)
    for pads in [
      [0, 0, 1, 1, 0, 0, 1, 1], [1, 2, 0, 3, 2, 0, 5, 0], [0, -1, 2, -2, 0, 1, -1, 2],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ] {
      let result = try run(
        "Pad", [x, ints(pads), tensor([7], [], dtype)], ["mode": .string(mode)])[0]
      let wanted = shape.indices.map { shape[$0] + pads[$0] + pads[4 + $0] }
      let all = x.values
      let expected = (0..<wanted.reduce(1, *)).map { position in
        var (rest, source, step) = (position, Optional(0), 1)
        for axis in shape.indices.reversed() {
          let found = place(rest % wanted[axis] - pads[axis], shape[axis], mode)
          rest /= wanted[axis]
          if let old = source, let found { source = old + found * step } else { source = nil }
          step *= shape[axis]
        }
        return source.map { all[$0] } ?? 7
      }
      #expect(result.shape == wanted && result.values == expected, "\(pads)")
    }
  }
}
