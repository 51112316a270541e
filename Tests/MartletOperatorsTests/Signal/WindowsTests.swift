import Glibc
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct WindowsTests {
  private static let kinds: [(name: String, value: @Sendable (Double) -> Double)] = [
    ("HannWindow", { pow(sin(Double.pi * $0), 2) }),
    ("HammingWindow", { 25.0 / 46 - 21.0 / 46 * cos(2 * Double.pi * $0) }),
    (
      "BlackmanWindow",
      { 0.42 - 0.5 * cos(2 * Double.pi * $0) + 0.08 * cos(4 * Double.pi * $0) }
    ),
  ]

  @Test("windows are their formulas, periodic or symmetric") func formulas() throws {
    for (name, value) in Self.kinds {
      for size in [2, 3, 10, 33, 400] {
        for isPeriodic in [true, false] {
          let turn = Double(isPeriodic ? size : size - 1)
          let expected = (0..<size).map { value(Double($0) / turn) }
          for (dtype, tolerance) in [(DType.float32, 1e-7), (.float64, 1e-15), (.float16, 1e-3)] {
            let result = try run(
              name, [ints([size], [])],
              [
                "periodic": .int(isPeriodic ? 1 : 0),
                "output_datatype": .int(Int(dtype.rawValue)),
              ])[0]
            #expect(result.dtype == dtype && result.shape == [size])
            #expect(
              zip(result.values, expected).allSatisfy { abs($0 - $1) <= tolerance }, "\(name)")
          }
        }
      }
    }
  }

  @Test("windows of no number and of one") func small() throws {
    for (name, value) in Self.kinds {
      #expect(try values(name, [ints([0], [])]) == [])
      #expect(agree(try values(name, [ints([1], [])]), [value(0)]))
      // The formula divides by 0; the middle of a window is 1.
      #expect(agree(try values(name, [ints([1], [])], ["periodic": .int(0)]), [1]))
      #expect(
        try run(name, [tensor([4], [], .int32)], ["output_datatype": .int(7)])[0].dtype == .int64)
      let wrong = martletError { _ = try run(name, [ints([-1], [])]) }
      #expect(wrong?.input == "size" && wrong?.operatorName == name)
      let strings = martletError { _ = try run(name, [ints([4])], ["output_datatype": .int(8)]) }
      #expect(strings?.code == .unsupported)
      #expect(try infer(name, [ValueType(dtype: .int64, shape: [])])[0].text == "float32[?]")
    }
  }

  @Test("a mel matrix has triangles that peak at 1") func mel() throws {
    func matrix(_ bins: Int, _ length: Int, _ rate: Int, _ lower: Double, _ upper: Double) throws
      -> Tensor
    {
      try run(
        "MelWeightMatrix",
        [ints([bins]), ints([length]), ints([rate]), tensor([lower]), tensor([upper])])[0]
    }
    // ONNX's test_melweightmatrix.
    let small = try matrix(8, 16, 8192, 0, 4096)
    #expect(small.shape == [9, 8])
    let expected: [[Double]] = [
      [1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0],
      [0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0, 1],
      [0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    #expect(small.values == expected.flatMap { $0 })
    let large = try matrix(80, 400, 16000, 0, 8000)
    #expect(large.shape == [201, 80])
    for bin in 0..<80 {
      let column = (0..<201).map { large.values[$0 * 80 + bin] }
      #expect(column.max() == 1)
      let peak = try #require(column.firstIndex(of: 1))
      #expect(column[..<peak].elementsEqual(column[..<peak].sorted()))
      #expect(column[peak...].elementsEqual(column[peak...].sorted(by: >)))
    }
    // Beyond the spectrum there is nothing to weight.
    #expect(try matrix(4, 16, 100, 0, 1e6).values.allSatisfy { $0 >= 0 && $0 <= 1 })
    #expect(try matrix(0, 16, 100, 0, 50).shape == [9, 0])
  }

  @Test("a mel matrix's wrong inputs are named") func refusals() throws {
    func error(_ bins: Int, _ length: Int, _ rate: Int, _ lower: Double, _ upper: Double)
      -> MartletError?
    {
      martletError {
        _ = try run(
          "MelWeightMatrix",
          [ints([bins]), ints([length]), ints([rate]), tensor([lower]), tensor([upper])])
      }
    }
    #expect(error(-1, 16, 100, 0, 50)?.input == "num_mel_bins")
    #expect(error(4, -1, 100, 0, 50)?.input == "dft_length")
    #expect(error(4, Int.max, 100, 0, 50)?.input == "dft_length")
    #expect(error(4, 16, 0, 0, 50)?.input == "sample_rate")
    #expect(error(4, 16, 100, -1, 50)?.input == "lower_edge_hertz")
    #expect(error(4, 16, 100, 0, .nan)?.input == "upper_edge_hertz")
    #expect(error(4, 16, 100, 60, 50)?.input == "upper_edge_hertz")
  }
}
