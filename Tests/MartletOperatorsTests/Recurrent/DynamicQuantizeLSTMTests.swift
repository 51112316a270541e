import MartletCore
import Testing

@testable import MartletOperators

/// DynamicQuantizeLSTM against LSTM with the weights that its integers mean.
@Suite struct DynamicQuantizeLSTMTests {
  private let steps = 5
  private let batch = 3
  private let width = 4
  private let hidden = 6

  private func made(_ shape: [Int], _ salt: Int, _ divisor: Double = 8) throws -> Tensor {
    try tensor(
      (0..<shape.reduce(1, *)).map { Double(($0 * 7 + $0 / 5 + salt) % 17 - 8) / divisor }, shape)
  }

  private struct Layer {
    var integers: [Tensor?]
    var floats: [Tensor?]
  }

  private func layer(_ dtype: DType, directions: Int, perColumn: Bool) throws -> Layer {
    let columns = 4 * hidden
    let zero = dtype == .uint8 ? 120.0 : 0
    var (integers, floats): ([Tensor?], [Tensor?]) = ([nil, nil], [nil, nil])
    var parameters: [Tensor] = []
    for (index, rows) in [width, hidden].enumerated() {
      let codes = (0..<directions * rows * columns).map {
        Double(($0 * 31 + $0 / 7 + index) % 121 - 60) + zero
      }
      let scales = (0..<directions * (perColumn ? columns : 1)).map {
        0.004 + Double($0 % 5) / 2000
      }
      integers[index] = try tensor(codes, [directions, rows, columns], dtype)
      var real = [Double](repeating: 0, count: codes.count)
      for (place, code) in codes.enumerated() {
        let (direction, rest) = place.quotientAndRemainder(dividingBy: rows * columns)
        let (row, column) = rest.quotientAndRemainder(dividingBy: columns)
        let scale = scales[perColumn ? direction * columns + column : direction]
        real[(direction * columns + column) * rows + row] = (code - zero) * Double(Float(scale))
      }
      floats[index] = try tensor(real, [directions, columns, rows])
      let shape = perColumn ? [directions, columns] : [directions]
      parameters.append(try tensor(scales, shape))
      parameters.append(try tensor(scales.map { _ in zero }, shape, dtype))
    }
    let x = try made([steps, batch, width], 3)
    let others: [Tensor?] = [
      try made([directions, 8 * hidden], 5), try tensor([5, 2, 0], [3], .int32),
      try made([directions, batch, hidden], 7), try made([directions, batch, hidden], 9),
      try made([directions, 3 * hidden], 11),
    ]
    return Layer(
      integers: [x] + integers + others + parameters, floats: [x] + floats + others)
  }

  @Test(
    "it is the LSTM of the same weights but for the states' quanta",
    arguments: [DType.uint8, .int8])
  func values(dtype: DType) throws {
    for (direction, directions) in [("forward", 1), ("reverse", 1), ("bidirectional", 2)] {
      for perColumn in [false, true] {
        let layer = try layer(dtype, directions: directions, perColumn: perColumn)
        let attributes: [String: AttributeValue] = [
          "hidden_size": .int(hidden), "direction": .string(direction), "clip": .float(3),
        ]
        let got = try run(
          "com.microsoft.DynamicQuantizeLSTM", layer.integers, attributes, outputs: 3)
        let want = try run("LSTM", layer.floats, attributes, outputs: 3)
        for (a, b) in zip(got, want) {
          #expect(a.shape == b.shape)
          #expect(zip(a.values, b.values).allSatisfy { abs($0 - $1) < 0.02 })
        }
      }
    }
  }

  @Test("a row's steps do not depend on the others, to the bit") func rows() throws {
    var layer = try layer(.int8, directions: 1, perColumn: false)
    layer.integers[4] = nil
    let whole = try run("com.microsoft.DynamicQuantizeLSTM", layer.integers)[0].values
    // The other rows change places: X has the range that it had.
    for index in [0, 5, 6] {
      guard let tensor = layer.integers[index] else { continue }
      layer.integers[index] = tensor.sliced(axis: 1, start: batch - 1, count: batch, step: -1)
    }
    let turned = try run("com.microsoft.DynamicQuantizeLSTM", layer.integers)[0].values
    for step in 0..<steps {
      for row in 0..<batch {
        let (a, b) = ((step * batch + row) * hidden, (step * batch + batch - 1 - row) * hidden)
        #expect(Array(whole[a..<a + hidden]) == Array(turned[b..<b + hidden]))
      }
    }
  }

  @Test("weights lie the other way than LSTM's, and are integers") func faults() throws {
    var layer = try layer(.int8, directions: 1, perColumn: false)
    func error() -> MartletError? {
      martletError { _ = try run("com.microsoft.DynamicQuantizeLSTM", layer.integers) }
    }
    let w = layer.integers[1]
    layer.integers[1] = try tensor([Double](repeating: 0, count: 96), [1, 24, 4], .int8)
    #expect(error()?.input == "W" && error()?.code == .invalidShape)
    layer.integers[1] = layer.floats[1]
    #expect(error()?.input == "W" && error()?.code == .invalidDType)
    layer.integers[1] = w
    layer.integers[8] = try tensor([1, 2], [2])
    #expect(error()?.input == "W_scale")
  }
}
