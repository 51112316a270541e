import Glibc
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct DFTTests {
  /// `count` numbers that look random, the same each time.
  private func noise(_ count: Int) -> [Double] {
    (0..<count).map { Double(Float(Double($0 * 7919 % 2003) / 1001 - 1)) }
  }

  /// The definition, for `length` complex numbers of which those beyond `signal` are 0.
  private func plain(_ signal: [(Double, Double)], _ length: Int, isInverse: Bool = false)
    -> [(Double, Double)]
  {
    (0..<length).map { k in
      var (re, im) = (0.0, 0.0)
      for (t, value) in signal.prefix(length).enumerated() {
        let angle = (isInverse ? 2 : -2) * Double.pi * Double(k * t % length) / Double(length)
        re += value.0 * cos(angle) - value.1 * sin(angle)
        im += value.0 * sin(angle) + value.1 * cos(angle)
      }
      return isInverse ? (re / Double(length), im / Double(length)) : (re, im)
    }
  }

  private func dft(
    _ input: Tensor, length: Int? = nil, axis: Int? = nil, inverse: Bool = false,
    onesided: Bool = false
  ) throws -> Tensor {
    try run(
      "DFT", [input, length.map { try ints([$0], []) }, axis.map { try ints([$0], []) }],
      ["inverse": .int(inverse ? 1 : 0), "onesided": .int(onesided ? 1 : 0)])[0]
  }

  private func flat(_ values: [(Double, Double)]) -> [Double] { values.flatMap { [$0.0, $0.1] } }

  static let sizes = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 19, 25, 34, 49, 60, 64, 97, 121, 127, 169,
    200, 256,
    400, 511, 1009, 1024,
  ]

  @Test("agrees with the definition at any length, there and back", arguments: sizes)
  func definition(_ n: Int) throws {
    let values = noise(2 * n)
    let complex = (0..<n).map { (values[2 * $0], values[2 * $0 + 1]) }
    let real = (0..<n).map { (values[$0], 0.0) }
    let tolerance = 1e-13 * Double(n)
    let input = try tensor(values, [1, n, 2], .float64)
    let spectrum = try dft(input)
    #expect(spectrum.shape == [1, n, 2])
    #expect(agree(spectrum.values, flat(plain(complex, n)), tolerance))
    #expect(agree(try dft(spectrum, inverse: true).values, values, 1e-14 * Double(n)))
    let signal = try tensor(Array(values.prefix(n)), [1, n, 1], .float64)
    let whole = flat(plain(real, n))
    #expect(agree(try dft(signal).values, whole, tolerance))
    let half = try dft(signal, onesided: true)
    #expect(half.shape == [1, n / 2 + 1, 2])
    #expect(agree(half.values, Array(whole.prefix(2 * (n / 2 + 1))), tolerance))
    let back = try dft(half, length: n, inverse: true, onesided: true)
    #expect(back.shape == [1, n, 1])
    #expect(agree(back.values, Array(values.prefix(n)), 1e-14 * Double(n)))
    let float = try dft(tensor(values, [1, n, 2]))
    #expect(float.dtype == .float32 && agree(float.values, flat(plain(complex, n)), 1e-6))
  }

  @Test("a signal is cut, or completed by zeros, to dft_length") func lengths() throws {
    let values = noise(10)
    let real = values.map { ($0, 0.0) }
    let input = try tensor(values, [1, 10, 1], .float64)
    for n in [1, 4, 7, 9, 10, 16, 17, 30, 37] {
      #expect(
        agree(try dft(input, length: n).values, flat(plain(real, n)), 1e-12), "\(n)")
    }
    // Of a spectrum that is too short the rest is 0, of one that is too long the rest is not read.
    let spectrum = try tensor([6, 5, 1, 2, -1, 0.5, 3, 4], [1, 4, 2], .float64)
    func full(_ n: Int) -> [Double] {
      let given: [(Double, Double)] = [(6, 5), (1, 2), (-1, 0.5), (3, 4)]
      let bins = (0...n / 2).map { $0 < 4 ? given[$0] : (0, 0) }
      let whole = (0..<n).map { k -> (Double, Double) in
        if k == 0 { return (bins[0].0, 0) }
        if 2 * k == n { return (bins[k].0, 0) }
        return 2 * k < n ? bins[k] : (bins[n - k].0, -bins[n - k].1)
      }
      return plain(whole, n, isInverse: true).map { $0.0 }
    }
    for n in [1, 2, 3, 4, 5, 6, 7, 10, 11] {
      let result = try dft(spectrum, length: n, inverse: true, onesided: true)
      #expect(agree(result.values, full(n), 1e-13), "\(n)")
    }
    #expect(try dft(spectrum, inverse: true, onesided: true).shape == [1, 6, 1])
  }

  @Test("any axis but the last, of any strides") func axes() throws {
    let input = try tensor(noise(3 * 4 * 5 * 2), [3, 4, 5, 2], .float64)
    for axis in 0..<3 {
      var order = [0, 1, 2, 3]
      order.remove(at: axis)
      order.insert(axis, at: 2)
      let expected = try dft(input.permuted(order))
      // Turning the axis to the last and back is the same.
      var back = [Int](repeating: 0, count: 4)
      for (place, axis) in order.enumerated() { back[axis] = place }
      let direct = try dft(input, axis: axis)
      #expect(direct.values == (try expected.permuted(back)).values)
      #expect(try dft(input, axis: axis - 4).values == direct.values)
    }
  }

  @Test("16-bit floats round once from float64", arguments: [DType.float16, .bfloat16])
  func halves(_ dtype: DType) throws {
    let values = (0..<12).map { Double($0 % 5) }
    let result = try dft(tensor(values, [1, 12, 1], dtype))
    let expected = try tensor(flat(plain(values.map { ($0, 0) }, 12)), [1, 12, 2], dtype)
    #expect(result.dtype == dtype && agree(result.values, expected.values, 1e-12))
  }

  @Test("bits do not depend on threads, nor on other lines") func sameBits() throws {
    defer { try? ThreadPool.shared.setThreadCount(0) }
    for (n, parts) in [(400, 1), (101, 1), (101, 2), (51, 1), (64, 2)] {
      let values = noise(37 * n * parts)
      let input = try tensor(values, [37, n, parts])
      try ThreadPool.shared.setThreadCount(1)
      let alone = try dft(input).values
      try ThreadPool.shared.setThreadCount(3)
      #expect(try dft(input).values == alone)
      for row in [0, 5, 36] {
        let line = try tensor(
          Array(values[row * n * parts..<(row + 1) * n * parts]), [1, n, parts])
        #expect(try dft(line).values == Array(alone[row * 2 * n..<(row + 1) * 2 * n]))
      }
    }
  }

  @Test("what does not fit is named") func refusals() throws {
    func error(_ body: () throws -> Void) -> MartletError? { martletError(body) }
    let input = try iota([2, 8, 1])
    for axis in [2, -1, 3, -4] {
      let wrong = error { _ = try dft(input, axis: axis) }
      #expect(wrong?.input == "axis" && wrong?.expected == "-3...-2 or 0...1")
    }
    for length in [0, -1, Int.max] {
      #expect(error { _ = try dft(input, length: length) }?.input == "dft_length")
    }
    #expect(error { _ = try dft(iota([2, 8, 3])) }?.code == .invalidShape)
    #expect(error { _ = try dft(iota([2])) }?.input == "input")
    #expect(error { _ = try dft(iota([2, 8, 2]), onesided: true) }?.expected == "[..., 1]")
    #expect(error { _ = try dft(iota([2, 8, 1], .int32)) }?.code == .invalidDType)
    #expect(error { _ = try dft(iota([2, 1, 2]), inverse: true, onesided: true) }?.actual == "0")
    #expect(error { _ = try run("DFT", [input, tensor([8])]) }?.code == .invalidDType)
    #expect(try dft(iota([0, 8, 1])).shape == [0, 8, 2])
    #expect(try dft(iota([2, 0, 1]), length: 4).values == [Double](repeating: 0, count: 16))
  }

  @Test("shapes follow from symbols") func inference() throws {
    let input = ValueType(dtype: .float32, shape: [.symbol("n"), .symbol("t"), .known(1)])
    #expect(try infer("DFT", [input])[0].text == "float32[n, t, 2]")
    #expect(
      try infer("DFT", [input], ["onesided": .int(1)])[0].text == "float32[n, t/2 + 1, 2]")
    let axis = ValueType(dtype: .int64, shape: [], constant: try ints([1], []))
    let length = ValueType(dtype: .int64, shape: [], constant: try ints([16], []))
    #expect(
      try infer("DFT", [input, length, axis], ["inverse": .int(1), "onesided": .int(1)])[0].text
        == "float32[n, 16, 1]")
    let unknown = try infer("DFT", [input, nil, ValueType(dtype: .int64, shape: [])])
    #expect(unknown[0].text == "float32[?, ?, 2]")
  }
}
