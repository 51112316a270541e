import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ShapeOperatorsTests {
  @Test("Reshape copies extents, infers one and stays a view where it can") func reshape() throws {
    let x = try iota([2, 3, 4])
    #expect(try run("Reshape", [x, ints([0, -1])])[0].shape == [2, 12])
    #expect(try run("Reshape", [x, ints([4, 0, -1])])[0].shape == [4, 3, 2])
    let view = try run("Reshape", [x, ints([6, 4])])[0]
    #expect(view.storage === x.storage)
    // Axes that lie evenly in memory are merged and split without a copy; others are copied.
    let turned = try x.permuted([2, 0, 1])
    let split = try run("Reshape", [turned, ints([4, 6])])[0]
    #expect(split.storage === x.storage && split.values == turned.values)
    let copied = try run("Reshape", [turned, ints([24])])[0]
    #expect(copied.values == turned.values)
    let empty = try tensor([], [0, 3])
    #expect(try run("Reshape", [empty, ints([3, 0])], ["allowzero": .int(1)])[0].shape == [3, 0])
    for bad in [[5, 5], [-1, -1], [-2, 12], [7, -1], [0, 0, 0, 0], [Int.max, 2, 2]] {
      let error = #expect(throws: MartletError.self) { try run("Reshape", [x, ints(bad)]) }
      #expect(error?.code == .invalidShape)
    }
  }

  @Test("symbols pass through Shape, Gather, Concat and Reshape") func symbolicChain() throws {
    let x = ValueType(dtype: .float32, shape: [.symbol("b"), .symbol("s"), .known(384)])
    let shape = try infer("Shape", [x])[0]
    let zero = ValueType(dtype: .int64, shape: [], constant: try ints([0], []))
    let batch = try infer("Gather", [shape, zero])[0]
    let axes = ValueType(dtype: .int64, shape: [.known(1)], constant: try ints([0]))
    let row = try infer("Unsqueeze", [batch, axes])[0]
    let rest = ValueType(dtype: .int64, shape: [.known(3)], constant: try ints([-1, 12, 32]))
    let target = try infer("Concat", [row, rest], ["axis": .int(0)])[0]
    let result = try infer("Reshape", [x, target])[0]
    #expect(result.shape == [.symbol("b"), .symbol("s"), .known(12), .known(32)])
    let turned = try infer("Transpose", [result], ["perm": .ints([0, 2, 1, 3])])[0]
    #expect(turned.shape == [.symbol("b"), .known(12), .symbol("s"), .known(32)])
  }

  @Test("Squeeze, Unsqueeze, Flatten and Transpose are views") func views() throws {
    let x = try iota([1, 3, 1, 2])
    let squeezed = try run("Squeeze", [x])[0]
    #expect(squeezed.shape == [3, 2] && squeezed.storage === x.storage)
    #expect(try run("Squeeze", [x, ints([-2])])[0].shape == [1, 3, 2])
    #expect(throws: MartletError.self) { try run("Squeeze", [x, ints([1])]) }
    #expect(throws: MartletError.self) { try run("Squeeze", [x, ints([0, -4])]) }
    let grown = try run("Unsqueeze", [squeezed, ints([0, -1])])[0]
    #expect(grown.shape == [1, 3, 2, 1] && grown.storage === x.storage)
    #expect(try run("Flatten", [x], ["axis": .int(-1)])[0].shape == [3, 2])
    #expect(try run("Flatten", [x], ["axis": .int(0)])[0].shape == [1, 6])
    let turned = try run("Transpose", [squeezed])[0]
    #expect(turned.shape == [2, 3] && turned.values == [0, 2, 4, 1, 3, 5])
    #expect(throws: MartletError.self) { try run("Transpose", [x], ["perm": .ints([0, 0, 1, 2])]) }
    #expect(throws: MartletError.self) { try run("Transpose", [x], ["perm": .ints([0, 1])]) }
  }

  @Test("Slice clamps, steps backwards and never overflows") func slice() throws {
    let x = try iota([10])
    func cut(_ start: Int, _ end: Int, _ step: Int) throws -> [Double] {
      try values("Slice", [x, ints([start]), ints([end]), ints([0]), ints([step])])
    }
    #expect(try cut(2, 5, 1) == [2, 3, 4])
    #expect(try cut(-3, Int.max, 1) == [7, 8, 9])
    #expect(try cut(0, 10, 4) == [0, 4, 8])
    #expect(try cut(9, Int.min, -3) == [9, 6, 3, 0])
    #expect(try cut(100, -100, -1) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    #expect(try cut(5, 2, 1) == [])
    #expect(try cut(Int.min, Int.max, Int.max) == [0])
    #expect(try cut(Int.max, Int.min, Int.min) == [9])
    #expect(try cut(-100, Int.min, -2) == [0])
    #expect(throws: MartletError.self) { try cut(0, 1, 0) }
    let type = ValueType(dtype: .float32, shape: [.symbol("n")])
    func constant(_ value: Int) throws -> ValueType {
      ValueType(dtype: .int64, shape: [.known(1)], constant: try ints([value]))
    }
    #expect(try infer("Slice", [type, constant(0), constant(Int.max)])[0].shape == [.symbol("n")])
    #expect(try infer("Slice", [type, constant(1), constant(Int.max)])[0].shape == [.unknown])
  }

  @Test("Concat joins strided parts and Split takes them apart as views") func concatSplit() throws
  {
    let a = try iota([2, 2])
    let b = try iota([3, 2]).permuted([1, 0])
    let joined = try run("Concat", [a, b], ["axis": .int(1)])[0]
    #expect(joined.shape == [2, 5] && joined.values == [0, 1, 0, 2, 4, 2, 3, 1, 3, 5])
    let parts = try run("Split", [joined, ints([2, 3])], ["axis": .int(-1)], outputs: 2)
    #expect(parts[1].values == b.values && parts[0].storage === joined.storage)
    let equal = try run("Split", [iota([7])], ["num_outputs": .int(3)], outputs: 3)
    #expect(equal.map(\.shape) == [[3], [3], [1]])
    #expect(throws: MartletError.self) { try run("Concat", [a, b], ["axis": .int(0)]) }
    #expect(throws: MartletError.self) { try run("Split", [joined, ints([1, 2])], outputs: 2) }
    #expect(throws: MartletError.self) { try run("Split", [joined], outputs: 0) }
    #expect(throws: MartletError.self) { try run("Concat", [a, a]) }
  }

  @Test("Range counts int64 exactly") func range() throws {
    let start = (1 << 62) + 1
    let x = try run("Range", [ints([start], []), ints([start + 3], []), ints([2], [])])[0]
    #expect(x.shape == [2])
    #expect([x.typed(Int64.self)[0], x.typed(Int64.self)[1]] == [Int64(start), Int64(start + 2)])
    #expect(try values("Range", [ints([5], []), ints([0], []), ints([-2], [])]) == [5, 3, 1])
    #expect(
      try values("Range", [tensor([0.5], []), tensor([2], []), tensor([1], [])]) == [0.5, 1.5])
    #expect(throws: MartletError.self) {
      try run("Range", [ints([0], []), ints([1], []), ints([0], [])])
    }
  }

  @Test("Range of 16-bit floats is computed in float32 or float64", arguments: [1, 11])
  func rangeOfHalves(stash: Int) throws {
    for dtype in [DType.float16, .bfloat16] {
      // Added up in 16 bits, 2048 + 1 would stay 2048.
      let whole = try run(
        "Range", [tensor([2040], [], dtype), tensor([2064], [], dtype), tensor([1], [], dtype)],
        ["stash_type": .int(stash)])[0]
      let expected = (0..<24).map { index -> Double in
        let value = 2040 + Double(index)
        let step = (dtype == .float16 ? 1.0 : 8) * (value < 2048 ? 1 : 2)
        return (value / step).rounded(.toNearestOrEven) * step
      }
      #expect(whole.dtype == dtype && whole.values == expected)
    }
    #expect(throws: MartletError.self) {
      try run("Range", [tensor([0]), tensor([1]), tensor([1])], ["stash_type": .int(7)])
    }
  }

  @Test("SpaceToDepth orders channels by mode, and DepthToSpace takes it back")
  func spaceToDepth() throws {
    let x = try iota([1, 2, 2, 4])
    let orders: [String: [Double]] = [
      "DCR": [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15],
      "CRD": [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15],
    ]
    for (mode, expected) in orders {
      let attributes: [String: AttributeValue] = ["blocksize": .int(2), "mode": .string(mode)]
      let y = try run("SpaceToDepth", [x], attributes)[0]
      #expect(y.shape == [1, 8, 1, 2] && y.values == expected, "\(mode)")
      #expect(try values("DepthToSpace", [y], attributes) == x.values)
    }
    let plain = try values("SpaceToDepth", [x], ["blocksize": .int(2)])
    #expect(plain == orders["DCR"])
    #expect(throws: MartletError.self) {
      try run("SpaceToDepth", [x], ["blocksize": .int(2), "mode": .string("RCD")])
    }
  }

  @Test("Resize of integers truncates, rounds with antialias, and saturates") func resize() throws {
    // 2/3 of the way from 30 to 60 is 50, however it rounds on the way.
    let x = try tensor([30, 60, 90, 120, 150], [5], .uint8)
    let linear: [String: AttributeValue] = ["mode": .string("linear")]
    let narrow = try values("Resize", [x, nil, tensor([0.6])], linear)
    #expect(narrow == [40, 90, 140])
    let odd = try tensor([1, 2], [2], .int8)
    let scale = try tensor([2])
    #expect(try values("Resize", [odd, nil, scale], linear) == [1, 1, 1, 2])
    let smooth = linear.merging(["antialias": .int(1)]) { $1 }
    #expect(
      try values("Resize", [tensor([1, 2], [2], .uint8), nil, tensor([0.5])], smooth) == [2])
    let cubic: [String: AttributeValue] = ["mode": .string("cubic")]
    let edge = try tensor([0, 0, 255, 255], [4], .uint8)
    let wide = try values("Resize", [edge, nil, tensor([3])], cubic)
    #expect(
      wide.first == 0 && wide[2...3].allSatisfy { $0 < 20 } && wide[8...9].allSatisfy { $0 > 235 })
  }

  @Test("Expand and Tile repeat") func repetition() throws {
    let x = try tensor([1, 2], [2, 1])
    let wide = try run("Expand", [x, ints([2, 1, 3])])[0]
    #expect(wide.shape == [2, 2, 3] && wide.storage === x.storage)
    #expect(
      try values("Tile", [iota([2, 2]), ints([2, 2])]) == [
        0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3,
      ])
    #expect(try run("Tile", [iota([2, 2]), ints([0, 2])])[0].shape == [0, 4])
    #expect(throws: MartletError.self) { try run("Expand", [x, ints([3, 3])]) }
    #expect(throws: MartletError.self) { try run("Expand", [x, ints([-1])]) }
    #expect(throws: MartletError.self) { try run("Tile", [iota([2, 2]), ints([Int.max, 2])]) }
  }

  @Test("Pad fills, reflects, repeats and crops") func pad() throws {
    let x = try tensor([1, 2, 3])
    func padded(_ pads: [Int], _ mode: String) throws -> [Double] {
      try values("Pad", [x, ints(pads)], ["mode": .string(mode)])
    }
    #expect(try padded([2, 1], "constant") == [0, 0, 1, 2, 3, 0])
    #expect(try padded([2, 1], "edge") == [1, 1, 1, 2, 3, 3])
    #expect(try padded([2, 3], "reflect") == [3, 2, 1, 2, 3, 2, 1, 2])
    #expect(try padded([1, 4], "wrap") == [3, 1, 2, 3, 1, 2, 3, 1])
    #expect(try padded([-1, 1], "constant") == [2, 3, 0])
    let grid = try values("Pad", [iota([2, 2]), ints([1, 0, 0, 1]), tensor([9], [])])
    #expect(grid == [9, 9, 9, 0, 1, 9, 2, 3, 9])
    #expect(throws: MartletError.self) { try padded([-3, -1], "constant") }
    #expect(throws: MartletError.self) { try padded([Int.max, Int.max], "constant") }
    // The extents of these fit; the places on the way to them would overflow.
    for mode in ["constant", "edge", "reflect", "wrap"] {
      #expect(throws: MartletError.self) { try padded([Int.min, Int.max], mode) }
      #expect(throws: MartletError.self) { try padded([-Int.max, Int.max], mode) }
    }
    #expect(throws: MartletError.self) { try padded([1], "edge") }
    #expect(throws: MartletError.self) { try padded([1, 1], "mirror") }
  }

  @Test(
    "copies of transposed tensors of every width are right",
    arguments: [DType.uint8, .int16, .float32, .float64])
  func transposedCopies(_ dtype: DType) throws {
    for (shape, order) in [
      ([1, 5, 37, 33], [0, 2, 3, 1]), ([2, 19, 3, 8], [0, 2, 1, 3]), ([40, 41], [1, 0]),
      ([3, 4, 5, 2], [3, 1, 0, 2]), ([100, 3], [1, 0]),
    ] {
      let count = shape.reduce(1, *)
      let x = try tensor((0..<count).map { Double($0 % 251) }, shape, dtype)
      let turned = try run("Transpose", [x], ["perm": .ints(order)])[0]
      let copy = try makeContext().contiguous(turned)
      #expect(copy.isContiguous && copy.values == turned.values)
    }
  }
}
