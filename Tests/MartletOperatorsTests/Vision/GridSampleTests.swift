import MartletCore
import Testing

@testable import MartletOperators

@Suite struct GridSampleTests {
  private static let image: [Double] = [0, 1, 2, 3, 4, 5]  // [3, 2]
  private static let grid: [Double] = [
    -10, -10, -5, -5, -0.2, -0.2, 10, 10, 10, 10, -0.2, -0.2, 5, 5, -5, -5,
  ]

  private func sample(
    _ image: [Double], _ shape: [Int], _ grid: [Double], _ gridShape: [Int],
    _ mode: String = "linear", _ padding: String = "zeros", aligns: Bool = false,
    of dtype: DType = .float32, grid gridType: DType = .float32
  ) throws -> [Double] {
    try values(
      "GridSample", [tensor(image, shape, dtype), tensor(grid, gridShape, gridType)],
      [
        "mode": .string(mode), "padding_mode": .string(padding),
        "align_corners": .int(aligns ? 1 : 0),
      ])
  }

  // ONNX's test_gridsample_* cases.
  @Test(
    "samples outside the image as the padding says", arguments: ["zeros", "border", "reflection"])
  func padding(_ padding: String) throws {
    let expected: [String: [Double]] = [
      "zeros": [0, 0, 1.7, 0, 0, 1.7, 0, 0], "border": [0, 0, 1.7, 5, 5, 1.7, 5, 0],
      "reflection": [2.5, 0, 1.7, 2.5, 2.5, 1.7, 5, 0],
    ]
    for (dtype, gridType) in [
      (DType.float32, DType.float32), (.float64, .float32), (.float32, .float64),
    ] {
      let result = try sample(
        Self.image, [1, 1, 3, 2], Self.grid, [1, 2, 4, 2], "linear", padding, of: dtype,
        grid: gridType)
      #expect(agree(result, try #require(expected[padding])), "\(padding) \(result)")
    }
  }

  @Test("modes and corners give ONNX's values") func modes() throws {
    let grid: [Double] = [-1, -1, -0.5, -0.5, -0.2, -0.2, 0, 0, 0, 0, -0.2, -0.2, 0.5, 0.5, 1, 1]
    func result(_ mode: String, _ aligns: Bool) throws -> [Double] {
      try sample(Self.image, [1, 1, 3, 2], grid, [1, 2, 4, 2], mode, aligns: aligns)
    }
    #expect(agree(try result("linear", false), [0, 0.5, 1.7, 2.5, 2.5, 1.7, 4.5, 1.25]))
    #expect(agree(try result("linear", true), [0, 1.25, 2, 2.5, 2.5, 2, 3.75, 5]))
    #expect(try result("nearest", false) == [0, 0, 2, 2, 2, 2, 5, 0])
    #expect(
      agree(
        try result("cubic", false),
        [-0.1406, 0.3828, 1.7556, 2.9688, 2.9688, 1.7556, 5.1445, 1.3906], 1e-4))
  }

  @Test("planes of one and three axes") func axes() throws {
    #expect(
      agree(
        try sample([10, 20, 30], [1, 1, 3], [-1, -0.5, 0, 1], [1, 4, 1], aligns: true),
        [10, 15, 20, 30]))
    let cube = (0..<8).map { Double($0) }
    #expect(
      agree(
        try sample(cube, [1, 1, 2, 2, 2], [0, 0, 0, 1, -1, 0], [1, 2, 1, 1, 3], aligns: true),
        [3.5, 3]))
    #expect(
      try sample(cube, [1, 1, 2, 2, 2], [1, -1, 1], [1, 1, 1, 1, 3], "nearest", aligns: true)
        == [5])
    // Cubics of four equal values, or of a line away from its ends, are that value and that line.
    let line = (0..<9).map { Double($0) }
    #expect(
      agree(
        try sample(line, [1, 1, 9], [-0.25, 0.125], [1, 2, 1], "cubic", aligns: true),
        [3, 4.5]))
    // Half an element outside the four taps read 0, 0, 0 and 10, the last weighing -0.09375.
    #expect(
      agree(
        try sample([0, 10, 20], [1, 1, 3], [-1.5], [1, 1, 1], "cubic", "border", aligns: true),
        [-0.9375]))
    let flat = [Double](repeating: 3, count: 125)
    #expect(
      agree(
        try sample(
          flat, [1, 1, 5, 5, 5], [0.1, -0.3, 0.9, 9, 9, 9], [1, 2, 1, 1, 3], "cubic", "border"),
        [3, 3]))
  }

  @Test("nearest rounds to even and moves any number", arguments: DType.wideCases)
  func nearest(_ dtype: DType) throws {
    let image = [1.0, 0, 1, 1]
    let result = try sample(
      image, [1, 1, 4], [-0.75, -0.5, 0, 0.5, 1.25], [1, 5, 1], "nearest", of: dtype)
    // Places 0, 0.5, 1.5, 2.5 and 4.
    #expect(result == [1, 1, 1, 1, 0])
  }

  @Test("integers truncate what is computed in floating point, and saturate") func integers()
    throws
  {
    let constant = [Double](repeating: 255, count: 36)
    let grid = (0..<18).map { Double($0) / 18 - 0.5 }
    for mode in ["linear", "cubic"] {
      let result = try sample(
        constant, [1, 1, 6, 6], grid, [1, 3, 3, 2], mode, "border", of: .uint8)
      #expect(result.allSatisfy { $0 == 255 }, "\(mode)")
    }
    #expect(
      try sample([3, 4], [1, 1, 2], [0, 0.5], [1, 2, 1], "linear", "border", of: .int32) == [3, 4])
    #expect(
      try sample([-3, -4], [1, 1, 2], [0, -1], [1, 2, 1], "linear", "border", of: .int64) == [
        -3, -3,
      ])
    let steep = [0, 0, 255, 255, 255, 0, 0].map { Double($0) }
    let cubic = try sample(steep, [1, 1, 7], [0.1], [1, 1, 1], "cubic", of: .uint8)
    #expect(cubic == [255])
  }

  @Test("coordinates that are no places read nothing, or the first element") func wild() throws {
    let grid: [Double] = [.nan, 1e30, -1e30, .infinity, -.infinity, 3e38]
    for mode in ["nearest", "linear", "cubic"] {
      for aligns in [false, true] {
        func result(_ padding: String) throws -> [Double] {
          try sample([7, 8, 9], [1, 1, 3], grid, [1, 6, 1], mode, padding, aligns: aligns)
        }
        #expect(try result("zeros") == [0, 0, 0, 0, 0, 0])
        #expect(agree(try result("border"), [7, 9, 7, 9, 7, 9]))
        #expect(try result("reflection").allSatisfy { $0 >= 6 && $0 <= 10 })
      }
    }
    // One element: reflection has nowhere to go.
    #expect(
      try sample([7], [1, 1, 1], [-3, 0, 5], [1, 3, 1], "linear", "reflection", aligns: true)
        == [7, 7, 7])
  }

  @Test("an infinite element outside the taps is left out") func infinite() throws {
    let result = try sample([.infinity, 1, 2], [1, 1, 3], [1, 1.5], [1, 2, 1])
    #expect(agree(result, [1, 0]))
  }

  @Test("16-bit floats round once", arguments: [DType.float16, .bfloat16])
  func halves(_ dtype: DType) throws {
    let result = try sample(
      [1, 2, 4, 8], [1, 1, 4], [-1, 0, 0.5], [1, 3, 1], aligns: true, of: dtype, grid: dtype)
    #expect(agree(result, [1, 3, 5], 1e-2))
  }

  @Test("bits do not depend on threads, batch or channels")
  func sameBits() throws {
    let (batch, channels, side) = (2, 19, 24)
    let image = (0..<batch * channels * side * side).map { Double($0 * 7919 % 2003) / 211 - 4 }
    let grid = (0..<batch * 33 * 41 * 2).map { Double($0 * 104_729 % 3001) / 1200 - 1.25 }
    defer { try? ThreadPool.shared.setThreadCount(0) }
    for mode in ["nearest", "linear", "cubic"] {
      try ThreadPool.shared.setThreadCount(1)
      let alone = try sample(
        image, [batch, channels, side, side], grid, [batch, 33, 41, 2], mode, "reflection")
      try ThreadPool.shared.setThreadCount(3)
      let together = try sample(
        image, [batch, channels, side, side], grid, [batch, 33, 41, 2], mode, "reflection")
      #expect(alone == together)
      let plane = side * side
      let one = try sample(
        Array(image[(channels + 5) * plane..<(channels + 6) * plane]), [1, 1, side, side],
        Array(grid[(33 * 41 * 2)...]), [1, 33, 41, 2], mode, "reflection")
      let first = (channels + 5) * 33 * 41
      #expect(one == Array(alone[first..<first + 33 * 41]))
    }
  }

  @Test("what does not fit is named, and empty tensors give empty or zero ones") func refusals()
    throws
  {
    let (x, grid) = (try iota([1, 2, 3, 4]), try iota([1, 5, 6, 2]))
    func error(
      _ x: Tensor, _ grid: Tensor, _ attributes: [String: AttributeValue] = [:]
    ) -> MartletError? {
      martletError { _ = try run("GridSample", [x, grid], attributes) }
    }
    #expect(error(x, try iota([1, 5, 6, 3]))?.expected == "[1, ..., ..., 2]")
    #expect(error(x, try iota([2, 5, 6, 2]))?.input == "grid")
    #expect(error(x, try iota([1, 5, 2]))?.code == .invalidShape)
    #expect(error(x, try iota([1, 5, 6, 2], .int32))?.code == .invalidDType)
    #expect(error(try iota([1, 2]), grid)?.input == "X")
    #expect(
      error(try iota([1, 1, 1, 1, 1, 1]), try iota([1, 1, 1, 1, 1, 4]))?.code == .unsupported)
    #expect(error(x, grid, ["mode": .string("bilinear")])?.expected == "nearest, linear or cubic")
    #expect(error(x, grid, ["padding_mode": .string("wrap")])?.input == "padding_mode")
    #expect(try run("GridSample", [x, iota([1, 0, 6, 2])])[0].shape == [1, 2, 0, 6])
    #expect(try values("GridSample", [iota([1, 1, 0, 4]), iota([1, 1, 2, 2])]) == [0, 0])
    #expect(
      error(try iota([1, 1, 0, 4]), grid, ["padding_mode": .string("border")])?.input == "X")
    let types = try infer(
      "GridSample",
      [
        ValueType(dtype: .float16, shape: [.symbol("n"), .known(3), .unknown, .unknown]),
        ValueType(dtype: .float32, shape: [.symbol("n"), .symbol("h"), .known(6), .known(2)]),
      ])
    #expect(types[0].text == "float16[n, 3, h, 6]")
  }
}
