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

  @Test("floats outside an integer's range do not trap") func saturation() throws {
    let odd = [Double.nan, .infinity, -.infinity, 1e30, -1.0, 300, -2.9]
    #expect(
      try cast(odd, .float32, .int32)
        == [0, 2_147_483_647, -2_147_483_648, 2_147_483_647, -1, 300, -2])
    #expect(try cast(odd, .float64, .uint8) == [0, 255, 0, 255, 255, 44, 254])
    #expect(
      try cast([.nan, 1e30, -1e30], .float32, .int64)
        == [0, 9.223372036854775807e18, -9.223372036854775808e18])
    #expect(try cast([1e19, 1e30], .float64, .uint64) == [1e19, 0x1p64])
    #expect(try cast([.nan, 0.5, -0.0], .float32, .bool) == [1, 1, 0])
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
