import MartletCore
import Testing

@testable import MartletOperators

@Suite struct CastTests {
  private func cast(_ values: [Double], _ from: DType, _ to: DType) throws -> [Double] {
    try run("Cast", [tensor(values, nil, from)], ["to": .int(Int(to.rawValue))])[0].values
  }

  @Test("every pair of types keeps small whole numbers") func pairs() throws {
    for from in DType.allCases {
      for to in DType.allCases {
        #expect(try cast([0, 1, 1, 0], from, to) == [0, 1, 1, 0], "\(from) to \(to)")
        if from != .bool && to != .bool {
          #expect(try cast([3, 100, 0], from, to) == [3, 100, 0], "\(from) to \(to)")
        }
      }
    }
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
