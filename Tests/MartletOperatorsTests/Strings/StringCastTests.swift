import MartletCore
import Testing

@testable import MartletOperators

@Suite struct StringCastTests {
  private func cast(_ input: Tensor, _ dtype: DType) throws -> Tensor {
    try run("Cast", [input], ["to": .int(Int(dtype.rawValue))])[0]
  }

  private func read(_ strings: [String], _ dtype: DType) throws -> [Double] {
    let result = try cast(try Tensor(strings: strings, [strings.count]), dtype)
    #expect(result.dtype == dtype)
    return result.values
  }

  @Test(
    "floats are written with the fewest digits that say which they are",
    arguments: [
      (0.1, "0.1", "0.1"), (1, "1", "1"), (-2.5, "-2.5", "-2.5"), (0, "0", "0"), (-0.0, "-0", "-0"),
      (1e-4, "0.0001", "0.0001"), (1e-5, "1e-05", "1e-05"), (1.25e-7, "1.25e-07", "1.25e-07"),
      (16_777_216, "16777216", "16777216"), (123_456_789, "1.2345679e+08", "123456789"),
      (1e15, "1e+15", "1000000000000000"), (1e16, "1e+16", "1e+16"), (1e20, "1e+20", "1e+20"),
      (314.15926, "314.15927", "314.15926"), (1.0 / 3, "0.33333334", "0.3333333333333333"),
      (1e-45, "1e-45", "1e-45"), (.infinity, "INF", "INF"), (-.infinity, "-INF", "-INF"),
      (.nan, "NaN", "NaN"), (-.nan, "NaN", "NaN"), (1_234_567.5, "1234567.5", "1234567.5"),
    ] as [(Double, String, String)])
  func floats(_ value: Double, _ single: String, _ double: String) throws {
    #expect(StringCast.text(Float(value)) == single)
    #expect(StringCast.text(value) == double)
    #expect(try cast(tensor([value]), .string).strings == [single])
    #expect(try cast(tensor([value], nil, .float64), .string).strings == [double])
  }

  @Test("what is written is read back as it was") func backAndForth() throws {
    var bits: UInt64 = 7
    for _ in 0..<2000 {
      bits = bits &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let single = Float(bitPattern: UInt32(truncatingIfNeeded: bits >> 32))
      let double = Double(bitPattern: bits)
      if single.isFinite { #expect(Float(StringCast.text(single)) == single) }
      if double.isFinite { #expect(Double(StringCast.text(double)) == double) }
    }
  }

  @Test("integers, bool and half floats are written in any strides") func integers() throws {
    let x = try tensor([-128, 0, 127, 5], [2, 2], .int8)
    let result = try cast(x.permuted([1, 0]), .string)
    #expect(result.shape == [2, 2] && result.strings == ["-128", "127", "0", "5"])
    #expect(try cast(tensor([0, 1], nil, .bool), .string).strings == ["0", "1"])
    #expect(
      try cast(tensor([0.5, 0.1], nil, .float16), .string).strings == ["0.5", "0.099975586"])
    #expect(try cast(tensor([0.5, 3], nil, .bfloat16), .string).strings == ["0.5", "3"])
    #expect(try cast(ints([.min, .max]), .string).strings == ["\(Int.min)", "\(Int.max)"])
    let most = try cast(Tensor(strings: ["18446744073709551615"], [1]), .uint64)
    #expect(try cast(most, .string).strings == ["18446744073709551615"])
    #expect(try cast(Tensor(strings: ["a"], [1]), .string).strings == ["a"])
    #expect(
      try run("CastLike", [tensor([1.5]), Tensor(strings: ["a"], [1])])[0].strings == ["1.5"])
    #expect(try run("CastLike", [Tensor(strings: ["2"], [1]), ints([1])])[0].values == [2])
  }

  @Test(
    "numbers are read from plain and scientific forms",
    arguments: [DType.float32, .float64, .float16, .bfloat16])
  func reading(_ dtype: DType) throws {
    let texts = [
      "0.5", "1e2", "1E-1", "+3", "-.25", "5.", " 7\n", "-0", "INF", "+inf", "-Infinity", "1e400",
    ]
    let expected = [
      0.5, 100, 0.1, 3, -0.25, 5, 7, -0.0, .infinity, .infinity, -.infinity, .infinity,
    ]
    let tolerance = dtype.bitWidth == 16 ? 1e-3 : dtype == .float32 ? 1e-8 : 0
    #expect(agree(try read(texts, dtype), expected, tolerance))
    #expect(try read(["NaN", "nan", "-NAN"], dtype).allSatisfy(\.isNaN))
  }

  @Test("integers are read exactly, floats truncate") func readingIntegers() throws {
    // Both are no doubles, which the other comparisons go by.
    let large = ["9007199254740993", "9223372036854775807"]
    let integers = try cast(Tensor(strings: large, [2]), .int64)
    #expect(try cast(integers, .string).strings == large)
    #expect(try read(["100.5", "-3.7", "1e3", "+12"], .int32) == [100, -3, 1000, 12])
    #expect(try read(["255", "0"], .uint8) == [255, 0])
    #expect(try read(["0", "2.5", "-1", "0e5", "nan"], .bool) == [0, 1, 1, 0, 1])
  }

  @Test(
    "what is no number is named with its place",
    arguments: [
      "", " ", "Hello", "1_000", "3,5", "1.5f", "0x10", "1e", "e5", ".", "--1", "1 2", "nan(1)",
      "infinit", "١",
    ])
  func faults(_ text: String) throws {
    for dtype in [DType.float32, .float64, .int64, .uint8, .bool] {
      let error = #expect(throws: MartletError.self) { try read(["1", text], dtype) }
      #expect(
        error?.message == "Cast: element 1 of the input is '\(text)', which is no \(dtype)")
    }
  }

  @Test(
    "what an integer does not hold is an error",
    arguments: [
      ("128", DType.int8), ("-1", .uint8), ("-1", .uint64), ("1e300", .int64), ("inf", .int32),
      ("nan", .int64), ("9223372036854775808", .int64), ("18446744073709551616", .uint64),
      ("4294967296", .uint32), ("40000", .int16), ("70000", .uint16),
      ("8", .int4), ("-9", .int4), ("16", .uint4),
    ] as [(String, DType)])
  func ranges(_ text: String, _ dtype: DType) throws {
    #expect(throws: MartletError.self) { try read([text], dtype) }
  }
}
