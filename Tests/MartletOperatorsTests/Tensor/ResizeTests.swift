import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ResizeTests {
  private enum Factor {
    case scale(Int, Int)
    case size(Int)
  }

  /// Where a line of 0, 1, 2 ... comes from.
  private func nearest(
    _ extent: Int, _ factor: Factor, _ coordinates: String, _ rule: String
  ) throws -> [Double] {
    let attributes: [String: AttributeValue] = [
      "mode": .string("nearest"), "nearest_mode": .string(rule),
      "coordinate_transformation_mode": .string(coordinates),
    ]
    let x = try iota([extent])
    switch factor {
    case .scale(let p, let q):
      let scale = try tensor([Double(Float(p) / Float(q))])
      return try run("Resize", [x, nil, scale], attributes)[0].values
    case .size(let size):
      let sizes = try tensor([Double(size)], [1], .int64)
      return try run("Resize", [x, nil, nil, sizes], attributes)[0].values
    }
  }

  /// floor(n / d), the end of a line repeated.
  private func place(_ n: Int, _ d: Int, _ extent: Int) -> Double {
    let floor = n >= 0 ? n / d : -((-n + d - 1) / d)
    return Double(min(max(floor, 0), extent - 1))
  }

  @Test(
    "nearest takes the place that the fraction says, at ties and at whole numbers too",
    arguments: ["asymmetric", "half_pixel", "half_pixel_symmetric"])
  func fractions(_ coordinates: String) throws {
    for extent in 1...24 {
      for q in 1...10 {
        for p in [1, q - 1, q, q + 1, 3 * q + 1, 17] where p > 0 && extent * p >= q {
          let size = extent * p / q
          for (rule, up) in [
            ("floor", 0), ("ceil", 2), ("round_prefer_floor", 1), ("round_prefer_ceil", 3),
          ] {
            let expected = (0..<size).map { i in
              // The place is n / d.
              let d = 2 * p
              var n = coordinates == "asymmetric" ? 2 * i * q : (2 * i + 1) * q - p
              if coordinates == "half_pixel_symmetric" { n += extent * p - size * q }
              switch up {
              case 0: return place(n, d, extent)
              case 1: return place(2 * n + d - 1, 2 * d, extent)  // floor(x + 1/2), ties down
              case 2: return place(n + d - 1, d, extent)
              default: return place(2 * n + d, 2 * d, extent)
              }
            }
            #expect(
              try nearest(extent, .scale(p, q), coordinates, rule) == expected,
              "\(extent) by \(p)/\(q), \(rule)")
          }
        }
      }
    }
  }

  @Test("sizes are fractions too") func sizes() throws {
    for (extent, size) in [(22, 50), (26, 64), (7, 17), (3, 1000), (1000, 3), (1, 5), (640, 427)] {
      let expected = (0..<size).map { Double($0 * extent / size) }
      #expect(try nearest(extent, .size(size), "asymmetric", "floor") == expected)
    }
    #expect(
      try nearest(7, .size(17), "half_pixel", "ceil")
        == [0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6])
  }

  @Test("a scale that float32 cannot hold makes as many places as the decimal would")
  func extents() throws {
    for (extent, p, q, size) in [
      (10, 7, 10, 7), (100, 29, 100, 29), (100, 1, 100, 1), (1000, 29, 1000, 29), (5, 3, 5, 3),
      (3, 1, 3, 1), (41, 1, 3, 13),
    ] {
      let scale = try tensor([Double(Float(p) / Float(q))])
      let x = try iota([extent])
      let result = try run("Resize", [x, nil, scale], ["mode": .string("linear")])[0]
      #expect(result.shape == [size])
      let types: [ValueType?] = [
        ValueType(dtype: .float32, shape: [.known(extent)]), nil,
        ValueType(dtype: .float32, shape: [.known(1)], constant: scale),
      ]
      let inferred = try infer("Resize", types, ["mode": .string("linear")])
      #expect(inferred[0].shape == [.known(size)])
    }
  }

  @Test(
    "sizes that no axis has are refused, whatever is to be kept of the ratio",
    arguments: [
      "stretch", "not_larger", "not_smaller",
    ])
  func hugeSizes(_ policy: String) throws {
    for size in [Int.max, Int.max - 1, 1 << 62, 1 << 31, -1, Int.min] {
      let fault = martletError {
        _ = try run(
          "Resize", [iota([3, 5]), nil, nil, ints([size, size])],
          ["keep_aspect_ratio_policy": .string(policy)])
      }
      #expect(fault?.code == .invalidShape, "\(size)")
    }
    let scale = ResizeScale(7, of: 3)
    #expect(
      [scale.times(3), scale.times(4), scale.timesRounded(2), scale.timesRounded(1)] == [
        7, 9, 5, 2,
      ])
  }

  @Test("a scale that is no short fraction is taken as it is")
  func odd() throws {
    for value in [0x1p-31, 1e9, 0.123_456_7, 16_777_215.0 / 16_777_216, Double.pi] {
      let scale = ResizeScale(Double(Float(value)))
      #expect(abs(scale.value / value - 1) < 0x1p-23)
      if let (p, q) = scale.fraction { #expect(Float(p) / Float(q) == Float(value)) }
    }
    #expect(ResizeScale(0.1).fraction == nil)
    for value in [0, -0.5, .nan, .infinity] as [Double] {
      #expect(ResizeScale(value).fraction == nil)
    }
    #expect(ResizeScale(3).fraction.map { [$0.numerator, $0.denominator] } == [3, 1])
  }

  @Test("two axes at once are the same as one after the other, whatever the type")
  func grids() throws {
    for dtype in [DType.float32, .uint8, .float64, .bfloat16] {
      let x = try iota([2, 3, 4, 5], dtype)
      let whole = try run(
        "Resize", [x, nil, tensor([1, 2, 2.5, 0.8])], ["mode": .string("nearest")])[0]
      var stepwise = x
      for (axis, scale) in [(3, 0.8), (2, 2.5), (1, 2.0)] {
        stepwise = try run(
          "Resize", [stepwise, nil, tensor([scale])],
          ["mode": .string("nearest"), "axes": .ints([axis])])[0]
      }
      #expect(whole.shape == [2, 6, 10, 4] && whole.values == stepwise.values)
    }
  }

  @Test(
    "mixed from lines, two axes at once are the same as one after the other, to the bit",
    arguments: ["linear", "cubic"], ["half_pixel", "align_corners", "asymmetric"])
  func mixedGrids(_ mode: String, _ coordinates: String) throws {
    for (antialias, rows, columns) in [(0, 2.5, 0.8), (0, 0.4, 2.0), (1, 0.3, 0.6), (0, 1.2, 3.0)] {
      var attributes: [String: AttributeValue] = [
        "mode": .string(mode), "coordinate_transformation_mode": .string(coordinates),
        "antialias": .int(antialias),
      ]
      let numbers = (0..<2 * 37 * 29).map { (index: Int) -> Double in
        Double(Float(index * 7919 % 1009) / 1009)
      }
      let x = try tensor(numbers, [2, 37, 29])
      let whole = try run("Resize", [x, nil, tensor([1, rows, columns])], attributes)[0]
      var stepwise = x
      for (axis, scale) in [(2, columns), (1, rows)] {
        attributes["axes"] = .ints([axis])
        stepwise = try run("Resize", [stepwise, nil, tensor([scale])], attributes)[0]
      }
      #expect(whole.shape == stepwise.shape && whole.values == stepwise.values)
      // A line of many places at once is the same as each place by itself, as other types have it.
      let wide = try run(
        "Resize", [tensor(numbers, [2, 37, 29], .float64), nil, tensor([1, rows, columns])],
        attributes.filter { $0.key != "axes" })[0]
      #expect(zip(whole.values, wide.values).allSatisfy { abs($0 - $1) < 1e-5 })
    }
  }

  @Test("nearest repeats whole numbers of times") func wholeTimes() throws {
    for dtype in [DType.uint8, .float16, .float32, .float64] {
      for times in 1...5 {
        let x = try iota([3, 7], dtype)
        let y = try run(
          "Resize", [x, nil, tensor([2, Double(times)])],
          [
            "mode": .string("nearest"), "nearest_mode": .string("floor"),
            "coordinate_transformation_mode": .string("asymmetric"),
          ])[0]
        let width = 7 * times
        let expected = (0..<6 * width).map { (index: Int) -> Double in
          let (row, column) = index.quotientAndRemainder(dividingBy: width)
          return Double(row / 2 * 7 + column / times)
        }
        #expect(y.values == expected)
      }
    }
  }

  @Test(
    "an axis given twice is refused, also counted from the back", arguments: [[2, 2], [2, -2]])
  func repeated(_ axes: [Int]) throws {
    let attributes: [String: AttributeValue] = [
      "mode": .string("linear"), "axes": .ints(axes),
    ]
    let (x, sizes) = (try iota([7, 1, 4, 4]), try tensor([3, 3], [2], .int64))
    let error = #expect(throws: MartletError.self) {
      _ = try run("Resize", [x, nil, nil, sizes], attributes)
    }
    #expect(error?.code == .invalidArgument)
    #expect(error?.input == "axes")
  }
}
