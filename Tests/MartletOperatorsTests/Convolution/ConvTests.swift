import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ConvTests {
  @Test(
    "pads, strides and groups as ONNX says",
    arguments: [
      DType.float32, .float64, .float16, .bfloat16,
    ])
  func example(dtype: DType) throws {
    let ones = try tensor([Double](repeating: 1, count: 9), [1, 1, 3, 3], dtype)
    let image = try iota([1, 1, 5, 5], dtype)
    let same = try run("Conv", [image, ones], ["pads": .ints([1, 1, 1, 1])])[0]
    #expect(same.shape == [1, 1, 5, 5])
    #expect(same.dtype == dtype)
    #expect(Array(same.values[..<6]) == [12, 21, 27, 33, 24, 33])
    let strided = try run(
      "Conv", [image, ones], ["pads": .ints([1, 0, 1, 0]), "strides": .ints([2, 2])])[0]
    #expect(strided.shape == [1, 1, 3, 2])
    #expect(strided.values == [21, 33, 99, 117, 111, 123])
    let grouped = try run(
      "Conv",
      [
        iota([1, 2, 1, 2], dtype), tensor([1, 10], [2, 1, 1, 1], dtype),
        tensor([5, 6], [2], dtype),
      ], ["group": .int(2)])[0]
    #expect(grouped.values == [5, 6, 26, 36])
  }

  @Test("auto_pad keeps ceil(extent / stride)", arguments: ["SAME_UPPER", "SAME_LOWER"])
  func autoPad(mode: String) throws {
    let kernel = try tensor([1, 2], [1, 1, 2])
    let image = try tensor([1, 10, 100, 1000, 10000], [1, 1, 5])
    let result = try run("Conv", [image, kernel], ["auto_pad": .string(mode)])[0]
    #expect(
      result.values
        == (mode == "SAME_UPPER"
          ? [21, 210, 2100, 21000, 10000] : [2, 21, 210, 2100, 21000]))
    let strided = try run(
      "Conv", [image, kernel], ["auto_pad": .string(mode), "strides": .ints([2])])[0]
    #expect(strided.shape == [1, 1, 3])
    let valid = try run("Conv", [image, kernel], ["auto_pad": .string("VALID")])[0]
    #expect(valid.values == [21, 210, 2100, 21000])
  }

  @Test("adds a residual before the activation", arguments: [DType.float32, .float64])
  func fused(dtype: DType) throws {
    for groups in [1, 2] {
      let result = try run(
        "FusedConv",
        [
          iota([1, 2, 2], dtype),
          tensor(groups == 1 ? [1, 0, 0, 1] : [1, 1], [2, 2 / groups, 1], dtype),
          tensor([1, 2], [2], dtype), tensor([-5, 0, 0, -4], [1, 2, 2], dtype),
        ], ["group": .int(groups), "activation": .string("Relu")])[0]
      #expect(result.values == [0, 2, 4, 1])
    }
  }

  @Test("a model's constant weight gives the same bits") func constantWeight() throws {
    let image = try iota([2, 3, 6, 6])
    let weight = try iota([4, 3, 3, 3])
    let node = OperatorNode(
      attributes: Attributes(operatorName: "Conv"), constants: [nil, weight], inputCount: 2,
      outputCount: 1)
    let expected = try run("Conv", [image, weight])[0].values
    let conv = try Conv(node)
    #expect(try conv.results([image, weight], makeContext())[0].values == expected)
    let second = image.sliced(axis: 0, start: 1, count: 1, step: 1)
    let alone = try conv.results([second, weight], makeContext())[0].values
    #expect(alone == Array(expected[(expected.count / 2)...]))
  }

  @Test(
    "a constant 3x3 weight may run by Winograd's algorithm, unless it is turned off",
    .enabled(if: runsNatively))
  func winograd() throws {
    func wave(_ shape: [Int], _ step: Float) throws -> Tensor {
      let count = shape.reduce(1, *)
      return try tensor(
        (0..<count).map { Double((Float($0) * step).truncatingRemainder(dividingBy: 1)) }, shape)
    }
    let image = try wave([2, 16, 36, 36], 0.37)
    let weight = try wave([16, 16, 3, 3], 0.61)
    let conv = try Conv(
      OperatorNode(
        attributes: Attributes(
          ["pads": .ints([1, 1, 1, 1])], operatorName: "Conv"), constants: [nil, weight],
        inputCount: 2, outputCount: 1))
    func result(_ image: Tensor, permits: Bool) throws -> (values: [Double], kernel: String) {
      var options = RunOptions()
      options.mode = .fp32
      options.permitsWinograd = permits
      let context = RunContext(options)
      let values = try conv.results([image, weight], context)[0].values
      return (values, context.executions[0].kernel)
    }
    let (values, kernel) = try result(image, permits: true)
    let (direct, directKernel) = try result(image, permits: false)
    #expect(kernel.hasPrefix("winograd_2x2_3x3_gemm"))
    #expect(directKernel.hasPrefix("direct_gemm"))
    #expect(zip(values, direct).allSatisfy { abs($0 - $1) < 1e-4 })
    let expected = try run("Conv", [image, weight], ["pads": .ints([1, 1, 1, 1])])[0].values
    #expect(direct == expected)
    let second = image.sliced(axis: 0, start: 1, count: 1, step: 1)
    #expect(try result(second, permits: true).values == Array(values[(values.count / 2)...]))
  }

  @Test("one node takes images and weights of any shapes in turn") func changingShapes() throws {
    let attributes: [String: AttributeValue] = ["pads": .ints([1, 0, 1, 0])]
    let conv = try Conv(
      OperatorNode(
        attributes: Attributes(attributes, operatorName: "Conv"), constants: [nil, nil, nil],
        inputCount: 3, outputCount: 1))
    let shapes = [
      ([1, 2, 5, 4], [3, 2, 3, 3]), ([1, 2, 5, 4], [3, 2, 3, 3]), ([2, 2, 5, 4], [3, 2, 3, 3]),
      ([2, 2, 4, 5], [3, 2, 3, 3]), ([2, 2, 4, 5], [3, 2, 1, 2]), ([2, 2, 4, 5], [6, 2, 1, 2]),
      ([0, 2, 4, 5], [6, 2, 1, 2]), ([1, 2, 5, 4], [3, 2, 3, 3]),
    ]
    for (image, weight) in shapes {
      let inputs = try [iota(image), iota(weight), iota([weight[0]])]
      let result = try conv.results(inputs, makeContext())[0]
      let expected = try run("Conv", inputs, attributes)[0]
      #expect(result.shape == expected.shape)
      #expect(result.values == expected.values)
      let wrong = try [inputs[0], inputs[1], iota([weight[0] + 1])]
      #expect(throws: MartletError.self) { try conv.results(wrong, makeContext()) }
    }
  }

  @Test("an empty result of huge extents is empty") func hugeExtents() throws {
    let x = try tensor([], [0, 1 << 40, 1 << 20, 3])
    #expect(try run("Conv", [x, x])[0].shape == [0, 0, 1, 1])
  }

  @Test("infers symbolic shapes") func inference() throws {
    func type(_ shape: [Dimension]) -> ValueType { ValueType(dtype: .float32, shape: shape) }
    let weight = type([.known(8), .known(3), .known(3), .known(3)])
    let x = type([.symbol("N"), .known(3), .symbol("H"), .known(9)])
    let same = try infer("Conv", [x, weight], ["pads": .ints([1, 1, 1, 1])])
    #expect(same[0].shape == [.symbol("N"), .known(8), .symbol("H"), .known(9)])
    let strided = try infer("Conv", [x, weight], ["strides": .ints([2, 2])])
    #expect(strided[0].shape.map(Inference.text) == "[N, 8, (H + 1)/2 - 1, 4]")
  }

  @Test("refuses what does not fit") func errors() throws {
    let image = try iota([1, 4, 5, 5])
    let bad: [([Tensor?], [String: AttributeValue])] = [
      ([image, try iota([2, 3, 3, 3])], [:]),
      ([image, try iota([2, 4, 7, 7])], [:]),
      ([image, try iota([3, 2, 3, 3])], ["group": .int(2)]),
      ([image, try iota([2, 4, 3])], [:]),
      ([image, try iota([2, 4, 3, 3])], ["strides": .ints([0, 1])]),
      ([image, try iota([2, 4, 3, 3])], ["strides": .ints([1])]),
      ([image, try iota([2, 4, 3, 3])], ["pads": .ints([-1, 0, 0, 0])]),
      ([image, try iota([2, 4, 3, 3])], ["dilations": .ints([1 << 40, 1])]),
      ([image, try iota([2, 4, 3, 3])], ["kernel_shape": .ints([2, 3])]),
      ([image, try iota([2, 4, 3, 3])], ["group": .int(0)]),
      ([image, try iota([2, 4, 3, 3]), try iota([3])], [:]),
      ([image, try iota([2, 4, 3, 3], .float64)], [:]),
      ([try iota([1, 4]), try iota([2, 4])], [:]),
      ([image, try iota([2, 4, 3, 3])], ["activation": .string("Relu")]),
    ]
    for (inputs, attributes) in bad {
      let error = #expect(throws: MartletError.self) { try run("Conv", inputs, attributes) }
      #expect(error?.message.hasPrefix("Conv") == true)
    }
  }

  @Test(
    "extents that a file declares and that no memory holds are refused, not added up",
    arguments: [Int.max, Int.max / 2, 1 << 33])
  func hugeExtents(_ extent: Int) throws {
    let image = ValueType(dtype: .float32, shape: [.known(1), .known(1), .known(extent)])
    let weight = ValueType(dtype: .float32, shape: [.known(1), .known(1), .known(3)])
    for padding in [1, 1 << 30] {
      var attributes: [String: AttributeValue] = ["pads": .ints([padding, padding])]
      _ = try? infer("Conv", [image, weight], attributes)
      attributes["strides"] = .ints([1 << 30])
      attributes["dilations"] = .ints([1 << 30])
      attributes["output_shape"] = .ints([1])
      _ = try? infer("ConvTranspose", [image, weight], attributes)
    }
    guard extent > 1 << 61 else { return }
    let error = #expect(throws: MartletError.self) {
      try infer("Conv", [image, weight], ["pads": .ints([1, 1])])
    }
    #expect(error?.code == .invalidShape)
  }
}
