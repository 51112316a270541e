import MartletCore
import Testing

@testable import MartletOperators

@Suite struct CastTests {
  private func cast(_ values: [Double], _ from: DType, _ to: DType) throws -> [Double] {
    try run("Cast", [tensor(values, nil, from)], ["to": .int(Int(to.rawValue))])[0].values
  }

  @Test("every pair of types keeps small whole numbers") func pairs() throws {
    for from in DType.wideCases {
      for to in DType.wideCases {
        #expect(try cast([0, 1, 1, 0], from, to) == [0, 1, 1, 0], "\(from) to \(to)")
        if from != .bool && to != .bool {
          #expect(try cast([3, 100, 0], from, to) == [3, 100, 0], "\(from) to \(to)")
        }
      }
    }
  }

  @Test("narrow types convert to and from every other") func narrowPairs() throws {
    for narrow in DType.allCases where narrow.isNarrow {
      for other in DType.numbers where other != .bool {
        // 2^-127 is the zero of float8e8m0, and neither it nor int2 has a 2 and a 3.
        let values: [Double] = narrow == .int2 || other == .int2 ? [1, 0, 1] : [1, 2, 1]
        let held =
          narrow == .float8e8m0 || other == .float8e8m0 ? values.map { max($0, 1) } : values
        #expect(try cast(held, other, narrow) == held, "\(other) to \(narrow)")
        #expect(try cast(held, narrow, other) == held, "\(narrow) to \(other)")
      }
      #expect(try cast([1, 1], .bool, narrow) == [1, 1])
      #expect(try cast([1], narrow, .bool) == [1])
    }
  }

  @Test("integers of 4 and 2 bits are the low bits of the truncated value") func lowBits() throws {
    let odd = [7.9, -8.5, 8, 300, -300, 1e20, .nan, .infinity]
    #expect(try cast(odd, .float32, .int4) == [7, -8, -8, -4, 4, 0, 0, 0])
    #expect(try cast(odd, .float64, .uint4) == [7, 8, 8, 12, 4, 0, 0, 0])
    #expect(try cast([-1, 1, 2, 5, -6], .int64, .int2) == [-1, 1, -2, 1, -2])
    #expect(try cast([-1, 1, 2, 5, -6], .int64, .uint2) == [3, 1, 2, 1, 2])
    #expect(try cast([-3, 7, -8, 0, 1], .int4, .int8) == [-3, 7, -8, 0, 1])
    #expect(try cast([15, 7], .uint4, .int4) == [-1, 7])
  }

  @Test("doubles are rounded to narrow floats once") func narrowOnce() throws {
    let justAbove = 1 + 0x1p-4 + 0x1p-40
    #expect(try cast([justAbove, 1 + 0x1p-4], .float64, .float8e4m3fn) == [1.125, 1])
    #expect(try cast([2.5 + 0x1p-40, 2.5], .float64, .float4e2m1) == [3, 2])
  }

  @Test("saturate and round_mode say what becomes of the rest") func attributes() throws {
    let x = try tensor([1000, 1.25, 0])
    func cast(_ to: DType, _ more: [String: AttributeValue]) throws -> [Double] {
      let own: [String: AttributeValue] = ["to": .int(Int(to.rawValue))]
      return try run("Cast", [x], own.merging(more) { $1 })[0].values
    }
    #expect(try cast(.float8e4m3fn, [:]) == [448, 1.25, 0])
    #expect(try cast(.float8e4m3fn, ["saturate": .int(0)])[0].isNaN)
    #expect(try cast(.float8e5m2fnuz, ["saturate": .int(0)]) == [1024, 1.25, 0])
    #expect(try cast(.float8e8m0, ["round_mode": .string("down")]) == [512, 1, 0x1p-127])
    #expect(try cast(.float8e8m0, ["saturate": .int(0)])[2].isNaN)
    #expect(
      martletError { _ = try cast(.float8e8m0, ["round_mode": .string("odd")]) }?.code
        == .invalidArgument)
    let like = try tensor([1], nil, .float8e4m3fn)
    #expect(try run("CastLike", [x, like], ["saturate": .int(0)])[0].values[0].isNaN)
  }

  /// As numpy 2.4, ONNX Runtime 1.32 and PyTorch 2.13 have it on x86 with tensors of many elements.
  @Test("floats outside an integer's range are as on x86", arguments: [DType.float32, .float64])
  func outOfRange(from: DType) throws {
    let odd = [
      -1, 300.7, -200.7, 3e9, -3e9, 1e20, -1e20, .infinity, -.infinity, .nan, 0x1p31, 0x1p32,
    ]
    let least32 = -0x1p31
    let least64 = -0x1p63
    #expect(
      try cast(odd, from, .int32)
        == [-1, 300, -200] + [Double](repeating: least32, count: odd.count - 3))
    for (to, narrow) in [
      (DType.int8, [-1.0, 44, 56]), (.uint8, [255, 44, 56]), (.int16, [-1, 300, -200]),
      (.uint16, [65535, 300, 65336]),
    ] {
      let zeros = [Double](repeating: 0, count: odd.count - 3)
      #expect(try cast(odd, from, to) == narrow + zeros, "\(to)")
    }
    #expect(
      try cast(odd, from, .int64) == [
        -1, 300, -200, 3e9, -3e9, least64, least64, least64, least64, least64, 0x1p31, 0x1p32,
      ])
    #expect(
      try cast(odd, from, .uint32) == [
        4_294_967_295, 300, 4_294_967_096, 3e9, 0x1p31, 0, 0x1p31, 0, 0x1p31, 0x1p31, 0x1p31, 0,
      ])
    #expect(
      try cast(odd, from, .uint64) == [
        0x1p64, 300, 0x1p64, 3e9, 0x1p64 - 3e9, 0, 0x1p63, 0, 0x1p63, 0x1p63, 0x1p31, 0x1p32,
      ])
    #expect(try cast([0x1.8p63, 0x1p63, 0x1p64], from, .uint64) == [0x1.8p63, 0x1p63, 0])
    #expect(try cast([.nan, 0.5, -0.0], from, .bool) == [1, 1, 0])
  }

  @Test("16-bit floats outside an integer's range too", arguments: [DType.float16, .bfloat16])
  func outOfRangeHalves(from: DType) throws {
    let odd = [Double.nan, .infinity, -.infinity, -3]
    #expect(try cast(odd, from, .int32) == [-0x1p31, -0x1p31, -0x1p31, -3])
    #expect(try cast(odd, from, .uint8) == [0, 0, 0, 253])
    #expect(try cast(odd, from, .uint64) == [0x1p63, 0, 0x1p63, 0x1p64])
  }

  @Test("integers keep their low bits, and unsigned 64-bit ones their value as floats")
  func integers() throws {
    #expect(try cast([-1, 257], .int64, .uint8) == [255, 1])
    #expect(try cast([200], .uint8, .int8) == [-56])
    #expect(try cast([1e19], .uint64, .float32) == [Double(Float(1e19))])
  }

  @Test("16-bit floats are rounded to nearest even once") func halves() throws {
    // Just above a tie: rounding to float32 first would land on the tie and then on even.
    let justAbove = 1 + 0x1p-11 + 0x1p-40
    #expect(try cast([justAbove, 1 + 0x1p-11], .float64, .float16) == [1 + 0x1p-10, 1])
    #expect(try cast([1 + 0x1p-8, 1 + 0x3p-8], .float32, .bfloat16) == [1, 1 + 0x1p-6])
    #expect(
      try cast([65520, 0x1p-25, 0x3p-25, 1e-30], .float32, .float16) == [
        .infinity, 0, 0x1p-23, 0,
      ])
    #expect(try cast([.nan], .float32, .float16)[0].isNaN)
  }
}
