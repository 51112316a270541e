import MartletCore
import Testing

@testable import MartletBackends

@Suite struct PackedElementsTests {
  private let workspace = Workspace(pool: .shared, memory: RunMemory())
  static let packed = DType.allCases.filter(\.isPacked)

  /// The codes of a tensor, one by one from its bits.
  private func codes(_ tensor: Tensor) -> [UInt8] {
    let (bits, bytes) = (tensor.dtype.bitWidth, tensor.typed(UInt8.self))
    return (0..<tensor.count).map { index in
      (0..<bits).reduce(0) { code, bit in
        let place = index * bits + bit
        return code | (bytes[place / 8] >> (place % 8) & 1) << bit
      }
    }
  }

  @Test("codes are taken apart and put together, whatever their number", arguments: packed)
  func roundTrip(dtype: DType) throws {
    for count in Array(0...19) + [512, 70_001] {
      let tensor = try Tensor(uninitialized: dtype, [count])
      let bytes = tensor.typed(UInt8.self)
      for index in 0..<tensor.byteCount {
        bytes[index] = UInt8(truncatingIfNeeded: index &* 151 + 7)
      }
      let unpacked = try PackedElements.unpacked(tensor, workspace)
      #expect(unpacked.dtype == .uint8 && unpacked.shape == [count])
      let expected = codes(tensor)
      #expect((0..<count).allSatisfy { unpacked.typed(UInt8.self)[$0] == expected[$0] })
      let back = try Tensor(uninitialized: dtype, [count])
      try PackedElements.pack(unpacked, into: back, workspace)
      #expect(codes(back) == expected)
      // Bits behind the last element are 0.
      let used = count * dtype.bitWidth % 8
      if used > 0 { #expect(back.typed(UInt8.self)[back.byteCount - 1] >> used == 0) }
    }
  }

  @Test("the first element has the lowest bits") func order() throws {
    for (dtype, codes, bytes) in [
      (DType.int4, [0xF, 4, 0xA] as [UInt8], [0x4F, 0x0A] as [UInt8]),
      (.uint2, [1, 2, 3, 0, 3], [0b0011_1001, 3]),
      (.float6e2m3, [1, 2, 4, 8], [0x81, 0x40, 0x20]),
    ] {
      let wide = try Tensor(uninitialized: .uint8, [codes.count])
      for (index, code) in codes.enumerated() { wide.typed(UInt8.self)[index] = code }
      let tensor = try Tensor(uninitialized: dtype, [codes.count])
      try PackedElements.pack(wide, into: tensor, workspace)
      #expect((0..<bytes.count).map { tensor.typed(UInt8.self)[$0] } == bytes)
    }
  }

  @Test("filling repeats one element up to the last", arguments: packed)
  func fill(dtype: DType) throws {
    let value = try Tensor(uninitialized: dtype, [])
    value.typed(UInt8.self)[0] = 0xFE
    let code = codes(value)[0]
    for count in [0, 1, 3, 4, 7, 8, 9, 33] {
      let tensor = try Tensor(uninitialized: dtype, [count])
      Copying.fill(tensor, with: value, workspace)
      #expect(codes(tensor) == [UInt8](repeating: code, count: count))
    }
  }
}
