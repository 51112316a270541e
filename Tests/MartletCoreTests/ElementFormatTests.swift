import Testing

@testable import MartletCore

@Suite struct ElementFormatTests {
  @Test(
    "bytes of a shape are rounded up to whole ones",
    arguments: [
      (DType.int4, [3], 2), (.uint4, [2, 2], 2), (.float4e2m1, [], 1), (.int2, [5], 2),
      (.uint2, [4], 1), (.float6e2m3, [4], 3), (.float6e3m2, [5], 4), (.int4, [0, 7], 0),
      (.float8e4m3fn, [3], 3), (.float8e8m0, [2, 3], 6), (.bfloat16, [3], 6), (.int64, [3], 24),
    ])
  func plain(dtype: DType, shape: [Int], bytes: Int) throws {
    #expect(try Shape.byteCount(shape, dtype) == bytes)
    #expect(try Shape.byteCount(shape, .plain(dtype)) == bytes)
  }

  @Test("blocks run along the last axis, and each row begins with a new one") func blocks() throws {
    let format = ElementFormat.blocks(BlockFormat(name: "Q4_0", elements: 32, bytes: 18))
    #expect(try Shape.byteCount([64], format) == 36)
    #expect(try Shape.byteCount([3, 33], format) == 3 * 2 * 18)
    #expect(try Shape.byteCount([3, 0], format) == 0)
    #expect(try Shape.byteCount([], format) == 18)
    #expect(format != .blocks(BlockFormat(name: "Q8_0", elements: 32, bytes: 34)))
  }

  @Test("what does not fit is an error") func overflow() {
    let format = ElementFormat.blocks(BlockFormat(name: "b", elements: 1, bytes: 1 << 40))
    for shape in [[1 << 30], [-1], [1 << 62, 1 << 62]] {
      #expect(throws: MartletError.self) { try Shape.byteCount(shape, format) }
    }
    #expect(throws: MartletError.self) { try Shape.byteCount([1 << 60], .float64) }
    #expect(throws: MartletError.self) { try Shape.byteCount([Int.max], .int8) }
    // Half a byte each: what would be too many bytes of bytes is not of nibbles.
    #expect((try? Shape.byteCount([1 << 61], .int4)) == 1 << 60)
    #expect(throws: MartletError.self) { try Shape.byteCount([Int.max], .int4) }
  }

  @Test("codes, names and widths of the dtypes are those of ONNX") func dtypes() {
    for (code, name, bits) in [
      (17, "float8e4m3fn", 8), (18, "float8e4m3fnuz", 8), (19, "float8e5m2", 8),
      (20, "float8e5m2fnuz", 8), (21, "uint4", 4), (22, "int4", 4), (23, "float4e2m1", 4),
      (24, "float8e8m0", 8), (25, "uint2", 2), (26, "int2", 2), (27, "float6e2m3", 6),
      (28, "float6e3m2", 6), (16, "bfloat16", 16),
    ] {
      let dtype = DType(rawValue: Int32(code))
      #expect(dtype?.description == name && dtype?.bitWidth == bits)
      #expect(DType(name: name) == dtype)
      #expect(dtype?.isPacked == (bits < 8) && dtype?.isNarrow == (code > 16))
    }
    #expect(DType.int4.isSignedInteger && DType.int4.isInteger && !DType.uint2.isSignedInteger)
    #expect(DType.float8e8m0.isFloatingPoint && !DType.float8e8m0.isInteger)
  }

  @Test("packed elements have one order only, and must lie inside their storage") func packed()
    throws
  {
    let storage = try Storage(byteCount: 3)
    let tensor = try Tensor(storage: storage, dtype: .int4, shape: [2, 3])
    #expect(tensor.byteCount == 3)
    _ = try Tensor(storage: storage, dtype: .int4, shape: [3], byteOffset: 1)
    for shape in [[7], [2, 4]] {
      #expect(throws: MartletError.self) {
        try Tensor(storage: storage, dtype: .int4, shape: shape)
      }
    }
    #expect(throws: MartletError.self) {
      try Tensor(storage: storage, dtype: .int4, shape: [2, 2], strides: [1, 2])
    }
    #expect(throws: MartletError.self) { try tensor.permuted([1, 0]) }
    #expect(throws: MartletError.self) { try tensor.broadcast(to: [2, 2, 3]) }
    #expect(try tensor.reshaped([3, 2]).isContiguous)
    #expect(try Tensor(storage: storage, dtype: .int4, shape: [1, 6]).permuted([1, 0]).count == 6)
  }
}
