import MartletCore
import Testing

@testable import MartletOperators

/// MatMulNBits and GatherBlockQuantized, against values worked out by hand.
@Suite struct BlockedWeightsTests {
  private func multiply(
    _ inputs: [Tensor?], bits: Int = 4, n: Int = 1, k: Int = 16, block: Int = 16
  ) throws -> Tensor {
    try run(
      "com.microsoft.MatMulNBits", inputs,
      [
        "bits": .int(bits), "N": .int(n), "K": .int(k), "block_size": .int(block),
      ])[0]
  }

  /// 0, 1, 2, ... of so many bits, packed.
  private func counting(_ bits: Int, _ count: Int) throws -> Tensor {
    var bytes = [UInt8](repeating: 0, count: count * bits / 8)
    for index in 0..<count {
      let code = index & (1 << bits - 1)
      bytes[index * bits / 8] |= UInt8(code << (index * bits % 8))
    }
    return try tensor(bytes.map { Double($0) }, [1, 1, bytes.count], .uint8)
  }

  @Test("elements lie from the lowest bits up, and half the range is zero", arguments: [2, 4, 8])
  func elements(bits: Int) throws {
    let b = try counting(bits, 16)
    let scale = try tensor([0.5], [1, 1])
    for k in 0..<16 {
      var a = [Double](repeating: 0, count: 16)
      a[k] = 1
      let y = try multiply([try tensor(a, [1, 16]), b, scale], bits: bits)
      let code = k & (1 << bits - 1)
      #expect(y.shape == [1, 1] && y.values == [Double(code - 1 << (bits - 1)) / 2])
    }
  }

  @Test("zero points are packed by row, or floats; g_idx names the blocks")
  func zeros() throws {
    // Two rows of three blocks, all elements 5.
    let b = try tensor([Double](repeating: 0x55, count: 48), [2, 3, 8], .uint8)
    let scales = try tensor([1, 10, 100, 1, 10, 100], [2, 3])
    let ones = try tensor([Double](repeating: 1, count: 48), [48])
    func y(_ zeros: Tensor?, _ more: [Tensor?] = []) throws -> [Double] {
      try multiply([ones, b, scales, zeros] + more, n: 2, k: 48).values
    }
    #expect(try y(nil) == [-48 * 111, -48 * 111].map { $0 })
    let packed = try tensor([0x43, 0x05, 0x55, 0x04], [2, 2], .uint8)
    // Zeros 3, 4, 5 and 5, 5, 4.
    #expect(try y(packed) == [16 * (2 + 10), 16 * 100])
    #expect(try y(try tensor([4.5, 5, 5, 5, 5, 4], [2, 3])) == [8, 1600])
    let groups = try tensor([Double](repeating: 0, count: 48), [48], .int32)
    #expect(try y(packed, [groups, try tensor([1, 2])]) == [97, 2])
  }

  @Test("a last block of which K uses a part, and rows of 16-bit floats")
  func rest() throws {
    let b = try tensor([Double](repeating: 0x99, count: 16), [1, 2, 8], .uint8)
    let a = try tensor([Double](repeating: 1, count: 40), [2, 20], .float16)
    let y = try multiply([a, b, try tensor([1, 0.5], [1, 2], .float16)], k: 20)
    #expect(y.dtype == .float16 && y.values == [18, 18])
  }

  @Test("many rows and columns are what one alone is")
  func rows() throws {
    let (n, k) = (70, 8192)
    let bytes = (0..<n * k / 2).map { Double(($0 * 37 + $0 / 91) % 256) }
    let b = try tensor(bytes, [n, k / 32, 16], .uint8)
    let scales = try tensor((0..<n * k / 32).map { Double($0 % 7) / 64 }, [n, k / 32])
    let a = try tensor((0..<3 * k).map { Double($0 % 11) - 5 }, [3, k])
    let whole = try multiply([a, b, scales], n: n, k: k, block: 32)
    for row in 0..<3 {
      let one = a.sliced(axis: 0, start: row, count: 1, step: 1)
      let y = try multiply([one, b, scales], n: n, k: k, block: 32)
      #expect(y.values == Array(whole.values[row * n..<(row + 1) * n]))
    }
  }

  @Test("what does not fit is said") func faults() throws {
    let (a, b) = (try tensor([Double](repeating: 1, count: 16)), try counting(4, 16))
    let scale = try tensor([1], [1, 1])
    #expect(martletError { _ = try multiply([a, b, scale], bits: 3) }?.input == "bits")
    #expect(martletError { _ = try multiply([a, b, scale], block: 24) }?.input == "block_size")
    #expect(martletError { _ = try multiply([a, b, scale], n: 2) }?.input == "B")
    #expect(martletError { _ = try multiply([a, b, scale], k: 15) }?.input == "A")
    #expect(martletError { _ = try multiply([a, b, try tensor([1, 2])]) }?.input == "scales")
    let far = try tensor([Double](repeating: 1, count: 16), [16], .int32)
    #expect(martletError { _ = try multiply([a, b, scale, nil, far]) }?.input == "g_idx")
    let prepacked = martletError {
      _ = try run(
        "com.microsoft.MatMulNBits", [a, b, scale],
        ["N": .int(1), "K": .int(16), "block_size": .int(16), "weight_prepacked": .int(1)])
    }
    #expect(prepacked?.code == .unsupported)
    #expect(try multiply([a, try tensor([], [0], .uint8), scale]).values == [0])
  }

  @Test("gathered rows are dequantised in blocks; an index out of range gives zeros")
  func gather() throws {
    let data = try tensor((0..<96).map { Double($0 % 16) - 8 }, [3, 32], .int4)
    let scales = try tensor([1, 2, 3, 4, 5, 6], [3, 2])
    let indices = try tensor([-1, 3], [2], .int64)
    let y = try run(
      "com.microsoft.GatherBlockQuantized", [data, indices, scales], ["block_size": .int(16)])[0]
    #expect(y.shape == [2, 32])
    let expected = (0..<32).map { (Double($0 % 16) - 8) * ($0 < 16 ? 5 : 6) }
    #expect(y.values == expected + [Double](repeating: 0, count: 32))
  }

  @Test("bytes hold several elements of the last axis, and their zero points too")
  func gatherBytes() throws {
    let data = try tensor([Double](repeating: 0x97, count: 24), [1, 24], .uint8)
    let scales = try tensor([1, 1, 1], [1, 3])
    let index = try tensor([0], [], .int32)
    func y(_ more: [Tensor?]) throws -> [Double] {
      try run(
        "com.microsoft.GatherBlockQuantized", [data, index, scales] + more,
        ["block_size": .int(16)])[0].values
    }
    #expect(try y([]) == (0..<48).map { $0 % 2 == 0 ? -1 : 1 })
    let zeros = try tensor([0x87, 0x09], [1, 2], .uint8)
    let expected = (0..<48).map { (index: Int) -> Double in
      Double(index % 2 == 0 ? 7 : 9) - [7, 8, 9][index / 16]
    }
    #expect(try y([zeros]) == expected)
    #expect(
      martletError { _ = try y([try tensor([1, 1, 1], [1, 3], .uint8)]) }?.input == "zero_points")
  }
}
