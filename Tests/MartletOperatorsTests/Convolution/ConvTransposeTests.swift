import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ConvTransposeTests {
  /// Numbers that all dtypes hold.
  private func wave(_ shape: [Int], _ dtype: DType, _ step: Int) throws -> Tensor {
    var values: [Double] = []
    for index in 0..<shape.reduce(1, *) {
      let place = (index * step + 3) % 17
      values.append(Double(place - 8) / 8)
    }
    return try tensor(values, shape, dtype)
  }

  @Test(
    "random shapes agree with the definition",
    arguments: [DType.float32, .float64, .float16, .bfloat16])
  func definition(dtype: DType) throws {
    let tolerance =
      switch dtype {
      case .float64: 1e-14
      case .float32: 1e-6
      case .float16: 1e-3
      default: 8e-3
      }
    for seed in 0..<150 {
      let example = ConvTransposeCase(seed: seed)
      let x = try wave(example.input, dtype, 7)
      let w = try wave(example.weight, dtype, 5)
      let b = example.hasBias ? try wave([example.weight[1] * example.groups], dtype, 3) : nil
      let (shape, values) = example.expected(x.values, w.values, b?.values)
      let result = try run("ConvTranspose", [x, w, b], example.attributes)[0]
      #expect(result.shape == shape, "seed \(seed): \(example)")
      #expect(result.dtype == dtype)
      #expect(agree(result.values, values, tolerance), "seed \(seed): \(example)")
      func type(_ tensor: Tensor) -> ValueType {
        ValueType(dtype: dtype, shape: tensor.shape.map { .known($0) })
      }
      let inferred = try infer("ConvTranspose", [type(x), type(w)], example.attributes)
      #expect(inferred[0].shape == shape.map { .known($0) }, "seed \(seed): \(example)")
    }
  }

  @Test("an output_shape, or auto_pad, cuts and appends as the operator's text says")
  func outputShape() throws {
    let x = try tensor([1, 10, 100], [1, 1, 3])
    let w = try tensor([1, 2, 3], [1, 1, 3])
    func y(_ attributes: [String: AttributeValue]) throws -> [Double] {
      var all = attributes
      all["strides"] = .ints([2])
      return try values("ConvTranspose", [x, w], all)
    }
    #expect(try y([:]) == [1, 2, 13, 20, 130, 200, 300])
    for (extent, name, expected) in [
      (6, "NOTSET", [2, 13, 20, 130, 200, 300]), (6, "SAME_UPPER", [1, 2, 13, 20, 130, 200]),
      (6, "SAME_LOWER", [2, 13, 20, 130, 200, 300]), (5, "NOTSET", [2, 13, 20, 130, 200]),
      (8, "SAME_UPPER", [1, 2, 13, 20, 130, 200, 300, 0]),
    ] as [(Int, String, [Double])] {
      #expect(
        try y(["output_shape": .ints([extent]), "auto_pad": .string(name)]) == expected)
    }
    #expect(try y(["auto_pad": .string("SAME_UPPER")]) == [1, 2, 13, 20, 130, 200])
    #expect(try y(["auto_pad": .string("VALID")]) == [1, 2, 13, 20, 130, 200, 300])
    #expect(try y(["output_padding": .ints([1])]) == [1, 2, 13, 20, 130, 200, 300, 0])
  }

  @Test("bits do not depend on threads, the batch or whether weights are constant")
  func sameBits() throws {
    let shapes = [
      ([3, 6, 700], [6, 5, 16], 2, [8]), ([3, 4, 9, 70], [4, 1, 3, 4], 4, [2, 2]),
      ([3, 16, 2600], [16, 8, 256], 1, [64]),
    ]
    defer { try? ThreadPool.shared.setThreadCount(0) }
    for (input, weight, groups, strides) in shapes {
      let x = try wave(input, .float32, 7)
      let w = try wave(weight, .float32, 5)
      let b = try wave([weight[1] * groups], .float32, 3)
      let attributes: [String: AttributeValue] = [
        "group": .int(groups), "strides": .ints(strides),
      ]
      try ThreadPool.shared.setThreadCount(1)
      let whole = try run("ConvTranspose", [x, w, b], attributes)[0].values
      try ThreadPool.shared.setThreadCount(3)
      #expect(try run("ConvTranspose", [x, w, b], attributes)[0].values == whole)
      let constant = try ConvTranspose(
        OperatorNode(
          attributes: Attributes(attributes, operatorName: "ConvTranspose"),
          constants: [nil, w, b], inputCount: 3, outputCount: 1))
      for _ in 0..<2 {
        #expect(try constant.results([x, w, b], makeContext())[0].values == whole)
      }
      let last = x.sliced(axis: 0, start: 2, count: 1, step: 1)
      let alone = try constant.results([last, w, b], makeContext())[0].values
      #expect(alone == Array(whole[(whole.count / 3 * 2)...]))
    }
  }

  @Test("BF16 mode rounds inputs to bfloat16, where the processor has it, and says what ran")
  func bf16() throws {
    let x = try tensor((0..<96).map { 1 + Double($0) / 1024 }, [1, 8, 12])
    let w = try wave([8, 8, 4], .float32, 5)
    let node = OperatorNode(
      attributes: Attributes(["strides": .ints([2])], operatorName: "ConvTranspose"),
      constants: [nil, nil], inputCount: 2, outputCount: 1)
    let context = RunContext(mode: .bf16)
    let result = try ConvTranspose(node).results([x, w], context)[0].values
    let execution = try #require(context.executions.first)
    #expect(context.executions.count == 1)
    #expect(execution.precision == "bf16" || !execution.reason.isEmpty)
    let rounded = try tensor(try tensor(x.values, x.shape, .bfloat16).values, x.shape)
    let source = execution.precision == "bf16" ? rounded : x
    let expected = try run("ConvTranspose", [source, w], ["strides": .ints([2])])[0].values
    #expect(agree(result, expected, 1e-5))
  }

  @Test("nothing falls on the result of an empty image or of no channels") func empty() throws {
    let w = try wave([2, 3, 4], .float32, 1)
    let b = try tensor([1, 2, 3])
    let none = try run("ConvTranspose", [iota([1, 2, 0]), w, b])[0]
    #expect(none.shape == [1, 3, 3] && none.values == [1, 1, 1, 2, 2, 2, 3, 3, 3])
    let channels = try run("ConvTranspose", [iota([1, 0, 2]), iota([0, 3, 1]), b])[0]
    #expect(channels.values == [1, 1, 2, 2, 3, 3])
    #expect(try run("ConvTranspose", [iota([0, 2, 5]), w, b])[0].shape == [0, 3, 8])
    let huge = try tensor([], [0, 1 << 40, 1 << 20, 3])
    #expect(throws: MartletError.self) { try run("ConvTranspose", [huge, huge]) }
  }

  @Test("infers symbolic shapes") func inference() throws {
    func type(_ shape: [Dimension]) -> ValueType { ValueType(dtype: .float32, shape: shape) }
    let x = type([.symbol("N"), .known(4), .symbol("T")])
    let w = type([.known(4), .known(3), .known(16)])
    let twice = try infer(
      "ConvTranspose", [x, w],
      ["strides": .ints([8]), "pads": .ints([4, 4]), "group": .int(2)])
    #expect(
      twice[0].shape == [
        .symbol("N"), .known(6), Inference.times(.symbol("T"), .known(8)),
      ])
    let same = try infer(
      "ConvTranspose", [x, w], ["strides": .ints([3]), "auto_pad": .string("SAME_LOWER")])
    #expect(same[0].shape?[2] == Inference.times(.symbol("T"), .known(3)))
    let given = try infer("ConvTranspose", [x, w], ["output_shape": .ints([77])])
    #expect(given[0].shape?[2] == .known(77))
  }

  @Test("contradictions are refused by name") func faults() throws {
    let x = try iota([1, 4, 5])
    let w = try iota([4, 3, 3])
    func refused(
      _ inputs: [Tensor?], _ attributes: [String: AttributeValue], _ input: String?
    ) {
      let error = #expect(throws: MartletError.self) {
        try run("ConvTranspose", inputs, attributes)
      }
      #expect(error?.operatorName == "ConvTranspose")
      #expect(error?.input == input, "\(String(describing: error))")
      #expect(error?.expected != nil && error?.actual != nil)
    }
    refused([x, try iota([3, 3, 3])], [:], "W")
    refused([x, w], ["group": .int(3)], "W")
    refused([x, w], ["group": .int(0)], "group")
    refused([x, try iota([4, 3])], [:], nil)
    refused([x, w, try iota([4])], [:], "B")
    refused([x, w], ["kernel_shape": .ints([2])], "kernel_shape")
    refused([x, w], ["pads": .ints([4, 4])], "pads")
    refused([x, w], ["pads": .ints([1])], "pads")
    refused([x, w], ["strides": .ints([0])], "strides")
    refused([x, w], ["output_padding": .ints([1, 1])], "output_padding")
    refused([x, w], ["output_padding": .ints([-1])], "output_padding")
    refused([x, w], ["output_padding": .ints([1])], "output_padding")
    refused([x, w], ["output_shape": .ints([1, 1])], "output_shape")
    refused([x, w], ["auto_pad": .string("SAME")], "auto_pad")
    refused([x, try iota([4, 3, 3], .float64)], [:], "W")
    refused([try iota([1, 4, 5], .int32), try iota([4, 3, 3], .int32)], [:], "X")
  }
}
