import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct OperatorTraitsTests {
  /// For each operator that declares a view, a call that gives one.
  private func viewCalls() throws -> [(name: String, Call)] {
    let x = try iota([2, 3])
    let one = try iota([1, 3])
    return [
      ("BitCast", Call([x], ["to": .int(6)])), ("Cast", Call([x], ["to": .int(1)])),
      ("CastLike", Call([x, one])), ("Clip", Call([x])),
      ("Concat", Call([x], ["axis": .int(0)])), ("Dropout", Call([x], outputs: 2)),
      ("Einsum", Call([x], ["equation": .string("ij->ji")])),
      ("Expand", Call([one, try ints([2, 3])])), ("Flatten", Call([x])),
      ("Gather", Call([x, try ints([1], [])])), ("Identity", Call([x])), ("Max", Call([x])),
      ("OptionalGetElement", Call([x])),
      ("Mean", Call([x])), ("Min", Call([x])), ("Reshape", Call([x, try ints([6])])),
      ("Resize", Call([x, nil, try tensor([1, 1])])),
      ("Slice", Call([x, try ints([1]), try ints([3])])),
      ("Split", Call([x], ["axis": .int(1)], outputs: 3)),
      ("Squeeze", Call([one, try ints([0])])), ("Sum", Call([x])), ("Transpose", Call([x])),
      ("Unsqueeze", Call([x, try ints([0])])),
    ]
  }

  private struct Call {
    let inputs: [Tensor?]
    let attributes: [String: AttributeValue]
    let outputs: Int

    init(_ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:], outputs: Int = 1) {
      self.inputs = inputs
      self.attributes = attributes
      self.outputs = outputs
    }
  }

  @Test("each operator that declares a view gives one where it can") func views() throws {
    let calls = try viewCalls()
    let declared = OperatorTable.all.map { $0.schema }.filter {
      !$0.traits.viewedInputs.isEmpty
    }
    #expect(calls.map(\.name).sorted() == declared.map(\.name).sorted())
    for schema in declared { #expect(schema.traits.viewedInputs == [0], "\(schema.name)") }
    for (name, call) in calls {
      let results = try run(name, call.inputs, call.attributes, outputs: call.outputs)
      #expect(results[0].storage === call.inputs[0]?.storage, "\(name)")
    }
  }

  @Test(
    "what may be written over an input gives the same bits when it is", arguments: [1, 7, 37, 150])
  func inPlace(_ count: Int) throws {
    for type in OperatorTable.all {
      let schema = type.schema
      for slot in schema.traits.inPlaceInputs.sorted() {
        var held = 0
        for dtype in DType.wideCases {
          for others in [count, 1] where try overwrites(schema, slot, dtype, count, others) {
            held += 1
          }
        }
        #expect(held > 0, "\(schema.name) \(slot)")
      }
    }
  }

  @Test("so it does where threads share the work", arguments: ["Add", "Exp", "Pow", "Where"])
  func inPlaceByThreads(_ name: String) throws {
    let schema = try #require(OperatorTable.lookup(OperatorID(name))).schema
    for slot in schema.traits.inPlaceInputs where name != "Where" || slot > 0 {
      #expect(try overwrites(schema, slot, .float32, 70_001, 70_001), "\(name) \(slot)")
    }
  }

  @Test("an element of an elementwise result depends on the same element of the inputs alone")
  func elementwise() throws {
    for type in OperatorTable.all where type.schema.traits.isElementwise {
      let schema = type.schema
      var held = 0
      for dtype in [DType.float32, .int64, .uint8, .bool, .string] {
        let inputCount = schema.isVariadic ? 3 : schema.inputs.count
        let inputs = try (0..<inputCount).map { index in
          let isBound = schema.name == "Clip" && index > 0
          return try tensor(
            (0..<(isBound ? 1 : 9)).map { Double(($0 * 7 + index * 3) % 5) }, [isBound ? 1 : 9],
            schema.name == "Where" && index == 0 ? .bool : dtype)
        }
        let attributes: [String: AttributeValue] =
          switch schema.name {
          case "BitShift": ["direction": .string("LEFT")]
          case "Cast": ["to": .int(11)]
          default: [:]
          }
        guard let whole = try? run(schema.name, inputs, attributes).first else { continue }
        let parts = inputs.map {
          $0.count == 1 ? $0 : $0.sliced(axis: 0, start: 2, count: 3, step: 2)
        }
        let part = try #require(try run(schema.name, parts, attributes).first)
        let expected = whole.sliced(axis: 0, start: 2, count: 3, step: 2)
        #expect(agree(part.values, expected.values, 0), "\(schema.name) \(dtype)")
        #expect(part.strings == expected.strings, "\(schema.name) \(dtype)")
        held += 1
      }
      #expect(held > 0, "\(schema.name)")
    }
  }

  /// Runs with the output in the memory of input `slot`, the other inputs being of `others` elements;
  /// false where the operator does not take such inputs, or gives another dtype or shape.
  private func overwrites(
    _ schema: OperatorSchema, _ slot: Int, _ dtype: DType, _ count: Int, _ others: Int
  ) throws -> Bool {
    let isCache = schema.name == "TensorScatter"
    let inputCount = schema.isVariadic || isCache ? 2 : schema.inputs.count
    var inputs: [Tensor?] = []
    for index in 0..<inputCount {
      let elements = index == slot ? count : (schema.name == "Clip" ? 1 : others)
      let type = schema.name == "Where" && index == 0 ? .bool : dtype
      inputs.append(
        try tensor(
          (0..<elements).map { Double(($0 * 7 + index * 3) % 5) },
          isCache ? [1, elements, 1] : [elements], type))
    }
    if schema.name == "Where", slot == 0, dtype != .bool { return false }
    let node = OperatorNode(
      attributes: Attributes(
        schema.name == "BitShift" ? ["direction": .string("LEFT")] : [:],
        operatorName: schema.name),
      constants: [Tensor?](repeating: nil, count: inputCount), inputCount: inputCount,
      outputCount: 1)
    let operation = try OperatorTable.make(schema.id, node)
    guard let expected = try? operation.results(inputs, makeContext()).first,
      let input = inputs[slot], expected.dtype == input.dtype, expected.shape == input.shape
    else { return false }
    let context = makeContext()
    context.places = [input]
    let result = try #require(try operation.results(inputs, context).first)
    #expect(result.storage === input.storage, "\(schema.name) \(slot) \(dtype)")
    #expect(agree(result.values, expected.values, 0), "\(schema.name) \(slot) \(dtype) \(others)")
    return true
  }
}
