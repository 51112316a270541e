import MartletCore
import ONNXFixtures
import Testing

@testable import MartletImport

/// Quantised operators of com.microsoft, against values worked out by hand.
@Suite struct QuantizedFormsTests {
  private func parameters(_ scale: Double, _ zero: Double, _ dtype: DType) throws -> [Tensor?] {
    [try scalar(scale), try scalar(zero, dtype)]
  }

  @Test("QLinearAdd and QLinearMul round half to even before the zero point")
  func binary() throws {
    let a = try numbers([10, 11, 255], nil, .uint8)
    let b = try numbers([1], nil, .uint8)
    let inputs =
      [a] + (try parameters(1, 10, .uint8)) + [b] + (try parameters(1, 1, .uint8))
      + (try parameters(2, 5, .uint8))
    // 0, 1, 245 over 2: 0, 0.5, 122.5.
    #expect(try NodeCase("QLinearAdd", inputs).run()[0].doubles == [5, 5, 127])
    #expect(try NodeCase("QLinearMul", inputs).run()[0].doubles == [5, 5, 5])
    // Without the output's zero point the result is of the input's type.
    var int8 = NodeCase("QLinearAdd", [try numbers([-3], nil, .int8), try scalar(1), nil])
    int8.inputs += [try numbers([1], nil, .int8), try scalar(1), nil, try scalar(1)]
    #expect(try int8.run()[0].dtype == .int8 && int8.run()[0].doubles == [-2])
    int8.inputs.removeLast()
    #expect(int8.error?.code == .invalidArgument)
  }

  @Test("QLinearLeakyRelu, QLinearSigmoid and QLinearSoftmax are the functions between")
  func unary() throws {
    let x = try numbers([-100, 0, 100], [1, 3], .int8)
    let input = [x] + (try parameters(1, 0, .int8))
    let leaky = NodeCase(
      "QLinearLeakyRelu", input + (try parameters(1, 0, .int8)), [("alpha", .float(0.5))])
    #expect(try leaky.run()[0].doubles == [-50, 0, 100])
    let unit = try parameters(1.0 / 256, -128, .int8)
    #expect(try NodeCase("QLinearSigmoid", input + unit).run()[0].doubles == [-128, 0, 127])
    let softmax = NodeCase("QLinearSoftmax", input + unit, [("opset", .int(13))])
    #expect(try softmax.run()[0].doubles == [-128, -128, 127])
    #expect(NodeCase("QLinearSoftmax", input + unit).error?.input == "opset")
    // Before opset 13 all axes from this one on are one.
    let pair = try numbers([0, 0, 0, 0], [2, 2], .int8)
    let flat = NodeCase(
      "QLinearSoftmax", [pair] + input[1...] + unit, [("opset", .int(12)), ("axis", .int(0))])
    #expect(try flat.run()[0].doubles == [-64, -64, -64, -64])
  }

  @Test("QLinearConcat copies what is quantised alike")
  func concat() throws {
    let result = try parameters(1, 3, .uint8)
    let first = [try numbers([1, 255], nil, .uint8)] + (try parameters(1, 3, .uint8))
    let second = [try numbers([4], nil, .uint8)] + (try parameters(2, 3, .uint8))
    var node = NodeCase("QLinearConcat", result + first + second, [("axis", .int(0))])
    #expect(try node.run()[0].doubles == [1, 255, 5])
    node.constants = [0, 1, 3, 4, 6, 7]
    #expect(try node.run()[0].doubles == [1, 255, 5])
    node.inputs.removeLast()
    #expect(node.error?.code == .invalidModel)
  }

  @Test("channels may be last")
  func channelsLast() throws {
    // Two channels of 2 by 2.
    let x = try numbers([1, 10, 2, 20, 3, 30, 4, 40], [1, 2, 2, 2], .uint8)
    let pool = NodeCase("NhwcMaxPool", [x], [("kernel_shape", .ints([2, 1]))])
    #expect(try pool.run()[0].doubles == [3, 30, 4, 40] && pool.run()[0].shape == [1, 1, 2, 2])
    let input = [x] + (try parameters(1, 0, .uint8)) + (try parameters(0.5, 1, .uint8))
    let mean = NodeCase("QLinearGlobalAveragePool", input, [("channels_last", .int(1))])
    #expect(try mean.run()[0].doubles == [6, 51] && mean.run()[0].shape == [1, 1, 1, 2])
    let average = NodeCase(
      "QLinearAveragePool", input, [("channels_last", .int(1)), ("kernel_shape", .ints([1, 2]))])
    #expect(try average.run()[0].doubles == [4, 31, 8, 71])
    let first = NodeCase("QLinearAveragePool", input, [("kernel_shape", .ints([2, 2]))])
    // Two channels again, (1, 10, 2, 20) and (3, 30, 4, 40).
    #expect(try first.run()[0].doubles == [17, 39])
    let w = try numbers([1, 0, 0, 1], [2, 2, 1, 1], .int8)
    let conv = NodeCase(
      "QLinearConv",
      [x] + (try parameters(1, 0, .uint8)) + [w] + (try parameters(1, 0, .int8))
        + (try parameters(1, 2, .uint8)), [("channels_last", .int(1))])
    #expect(try conv.run()[0].doubles == [3, 12, 4, 22, 5, 32, 6, 42])
  }
}
