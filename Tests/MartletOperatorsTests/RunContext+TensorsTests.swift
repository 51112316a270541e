import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct RunContextTensorsTests {
  /// An operator, the input that is a list of numbers, and inputs of which all others are sound.
  struct ListCase: CustomStringConvertible {
    let name: String
    let list: Int
    let inputs: [Tensor?]
    var attributes: [String: AttributeValue] = [:]
    var description: String { "\(name) \(list)" }
  }

  static func cases() throws -> [ListCase] {
    let x = try iota([2, 3])
    let one = try ints([1])
    return [
      ListCase(name: "Reshape", list: 1, inputs: [x, nil]),
      ListCase(name: "ConstantOfShape", list: 0, inputs: [nil]),
      ListCase(name: "Expand", list: 1, inputs: [x, nil]),
      ListCase(name: "Tile", list: 1, inputs: [x, nil]),
      ListCase(name: "Resize", list: 2, inputs: [x, nil, nil, nil]),
      ListCase(name: "Resize", list: 3, inputs: [x, nil, nil, nil]),
      ListCase(
        name: "Resize", list: 1, inputs: [x, nil, nil, try ints([2, 4])],
        attributes: ["coordinate_transformation_mode": .string("tf_crop_and_resize")]),
      ListCase(name: "Pad", list: 1, inputs: [x, nil]),
      ListCase(name: "Pad", list: 3, inputs: [x, try ints([0, 1, 0, 1]), nil, nil]),
      ListCase(name: "Slice", list: 1, inputs: [x, nil, one]),
      ListCase(name: "Slice", list: 2, inputs: [x, one, nil]),
      ListCase(name: "Slice", list: 3, inputs: [x, one, one, nil]),
      ListCase(name: "Slice", list: 4, inputs: [x, one, one, one, nil]),
      ListCase(name: "Split", list: 1, inputs: [x, nil]),
      ListCase(name: "SplitToSequence", list: 1, inputs: [x, nil]),
      ListCase(name: "Squeeze", list: 1, inputs: [x, nil]),
      ListCase(name: "Unsqueeze", list: 1, inputs: [x, nil]),
      ListCase(name: "CenterCropPad", list: 1, inputs: [x, nil]),
      ListCase(name: "ReduceSum", list: 1, inputs: [x, nil]),
      ListCase(name: "ReverseSequence", list: 1, inputs: [x, nil]),
      ListCase(name: "Gather", list: 1, inputs: [x, nil]),
      ListCase(name: "OneHot", list: 0, inputs: [nil, try ints([3], []), try ints([0, 1])]),
      ListCase(name: "TfIdfVectorizer", list: 0, inputs: [nil]),
    ]
  }

  @Test("a list of 2^40 or 2^31 numbers that are one in memory is refused, and nothing is computed")
  func hugeLists() throws {
    for dtype in [DType.int64, .float32] {
      let one = try tensor([1], [], dtype)
      for extent in [1 << 40, 1 << 31] {
        let list = try one.broadcast(to: [extent])
        for call in try Self.cases() {
          var inputs = call.inputs
          inputs[call.list] = list
          var options = RunOptions()
          options.maximumMemoryBytes = 64 << 20
          let context = RunContext(options)
          context.memory.allowance = RunAllowance(options)
          let id = OperatorTable.id(named: call.name)
          #expect(throws: MartletError.self, "\(call) \(dtype) \(extent)") {
            let node = OperatorNode(
              attributes: Attributes(call.attributes, operatorName: id.description),
              constants: [Tensor?](repeating: nil, count: inputs.count),
              inputCount: inputs.count, outputCount: 1)
            _ = try OperatorTable.make(id, node).results(inputs, context)
          }
        }
      }
    }
  }

  @Test("lists that operators make of an axis count against the memory of the run")
  func listsOfAxes() throws {
    let x = try tensor([1, 2], [2], .int8)
    let wide = try ints([0, (1 << 22) - 2])
    let calls: [(String, [Tensor?])] = [
      ("Pad", [x, wide]), ("Resize", [x, nil, nil, try ints([1 << 22])]),
      (
        "SplitToSequence",
        [
          try x.sliced(axis: 0, start: 0, count: 1, step: 1)
            .broadcast(to: [1 << 20])
        ]
      ),
    ]
    for (name, inputs) in calls {
      var options = RunOptions()
      // The result itself takes 4 MB.
      options.maximumMemoryBytes = 32 << 20
      let context = RunContext(options)
      context.memory.allowance = RunAllowance(options)
      let error = #expect(throws: MartletError.self, "\(name)") {
        _ = try run(name, inputs, context)
      }
      #expect(error?.code == .limitExceeded, "\(name)")
      if name != "SplitToSequence" {
        #expect(try run(name, inputs, makeContext())[0].count == 1 << 22)
      }
    }
  }

  private func run(
    _ name: String, _ inputs: [Tensor?], _ context: RunContext
  ) throws -> [Tensor] {
    let id = OperatorTable.id(named: name)
    let node = OperatorNode(
      attributes: Attributes([:], operatorName: id.description),
      constants: [Tensor?](repeating: nil, count: inputs.count), inputCount: inputs.count,
      outputCount: 1)
    return try OperatorTable.make(id, node).results(inputs, context)
  }

  @Test("there is room for no more than the machine and the run have")
  func room() throws {
    try makeContext().checkRoom(1 << 16, "Test")
    for count in [1 << 40, Int.max] {
      let error = #expect(throws: MartletError.self) {
        try makeContext().checkRoom(count, "Test")
      }
      #expect(error?.code == .outOfMemory)
    }
  }
}
