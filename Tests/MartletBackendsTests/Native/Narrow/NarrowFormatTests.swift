import MartletCore
import Testing

@testable import MartletBackends

/// Python's tests hold all codes and a spread of values against ml_dtypes; here is what the formats'
/// definitions say of single values.
@Suite struct NarrowFormatTests {
  static let floats: [DType] = DType.allCases.filter { $0.isNarrow && $0.isFloatingPoint }

  private func format(_ dtype: DType) throws -> NarrowFormat { try #require(.of(dtype)) }

  @Test("every value has its own code", arguments: floats) func roundTrip(dtype: DType) throws {
    let format = try format(dtype)
    #expect(format.values.count == 1 << dtype.bitWidth)
    var open = NarrowRounding()
    open.saturates = false
    for (code, value) in format.values.enumerated() where !value.isNaN {
      // What is infinite saturates otherwise.
      #expect(Int(format.code(value, open)) == code, "\(dtype) \(code) \(value)")
    }
  }

  @Test("between two values the nearer is taken, and of two as near the one with an even code")
  func ties() throws {
    for dtype in NarrowFormatTests.floats where dtype != .float8e8m0 {
      let format = try format(dtype)
      let positive = format.values.prefix(format.values.count / 2).prefix { $0.isFinite }
      for (code, (low, high)) in zip(positive, positive.dropFirst()).enumerated() {
        let middle = (low + high) / 2
        let even = UInt8(code.isMultiple(of: 2) ? code : code + 1)
        #expect(format.code(middle, NarrowRounding()) == even, "\(dtype) \(middle)")
        #expect(format.code(middle.nextUp, NarrowRounding()) == UInt8(code + 1))
        #expect(format.code(middle.nextDown, NarrowRounding()) == UInt8(code))
      }
    }
  }

  @Test("values known by their codes") func known() throws {
    for (dtype, code, value) in [
      (DType.float8e4m3fn, 0x7E, 448), (.float8e4m3fnuz, 0x7F, 240), (.float8e5m2, 0x7B, 57344),
      (.float8e5m2fnuz, 0x7F, 57344), (.float4e2m1, 7, 6), (.float6e2m3, 0x1F, 7.5),
      (.float6e3m2, 0x1F, 28), (.float8e8m0, 0, 0x1p-127), (.float8e8m0, 0xFE, 0x1p127),
      (.float8e4m3fn, 1, 0x1p-9), (.float8e5m2, 0x7C, .infinity), (.float8e4m3fn, 0x80, -0.0),
      (.float4e2m1, 1, 0.5), (.float8e5m2fnuz, 1, 0x1p-17), (.float4e2m1, 0xD, -3),
    ] as [(DType, Int, Float)] {
      #expect(try format(dtype).values[code].bitPattern == value.bitPattern, "\(dtype) \(code)")
    }
    #expect(try format(.float8e4m3fnuz).values[0x80].isNaN)
    #expect(try format(.float8e8m0).values[0xFF].isNaN)
  }

  /// The tables of ONNX Cast-28.
  @Test("what is too large saturates, or becomes infinity or NaN") func beyond() throws {
    var open = NarrowRounding()
    open.saturates = false
    for (dtype, saturated, infinite, nan) in [
      (DType.float8e4m3fn, 0x7E, 0x7F, 0x7F), (.float8e4m3fnuz, 0x7F, 0x80, 0x80),
      (.float8e5m2, 0x7B, 0x7C, 0x7E), (.float8e5m2fnuz, 0x7F, 0x80, 0x80),
    ] as [(DType, UInt8, UInt8, UInt8)] {
      let format = try format(dtype)
      for value in [Float.infinity, 1e30, 1e6] {
        #expect(format.code(value, NarrowRounding()) == saturated)
        #expect(format.code(-value, NarrowRounding()) == saturated | 0x80)
        #expect(
          format.code(value, open) == infinite && format.code(-value, open) == infinite | 0x80)
      }
      #expect(format.code(.nan, open) == nan && format.code(.nan, NarrowRounding()) == nan)
    }
    #expect(try format(.float8e4m3fn).code(464, open) == 0x7E)
    #expect(try format(.float8e4m3fn).code(465, open) == 0x7F)
    #expect(try format(.float4e2m1).code(-.infinity, open) == 0xF)
    #expect(try format(.float8e4m3fnuz).code(-0x1p-30, open) == 0)
  }

  @Test("powers of two are rounded up, down or to the nearer") func powersOfTwo() throws {
    let format = try format(.float8e8m0)
    var rounding = NarrowRounding()
    for (mode, one, middle, above) in [
      (NarrowRounding.Mode.up, 127, 128, 128), (.down, 127, 127, 127), (.nearest, 127, 128, 128),
    ] as [(NarrowRounding.Mode, UInt8, UInt8, UInt8)] {
      rounding.mode = mode
      #expect(format.code(1, rounding) == one && format.code(1.5, rounding) == middle)
      #expect(format.code(1.75, rounding) == above)
      #expect(format.code(1.25, rounding) == (mode == .up ? 128 : 127))
      for (value, saturated) in [(Float(0), 0), (0x1p-130, 0), (.infinity, 0xFE)]
        as [(Float, UInt8)]
      {
        rounding.saturates = true
        #expect(format.code(value, rounding) == saturated)
        rounding.saturates = false
        #expect(format.code(value, rounding) == 0xFF)
      }
      #expect(format.code(.nan, rounding) == 0xFF)
    }
    rounding.mode = .up
    rounding.saturates = true
    #expect(format.code(0x1.8p127, rounding) == 0xFE && format.code(0x1p-127, rounding) == 0)
    rounding.saturates = false
    #expect(format.code(0x1.8p127, rounding) == 0xFF && format.code(0x1.1p-128, rounding) == 0)
  }
}
