import MartletCore
import Testing

@testable import MartletOperators

@Suite struct MapsTests {
  private func run(
    _ name: String, _ input: Value, _ attributes: [String: AttributeValue]
  ) throws -> Value {
    let id = OperatorID(name, domain: OperatorID.machineLearningDomain)
    let made = try OperatorTable.make(
      id,
      OperatorNode(
        attributes: Attributes(attributes, operatorName: id.description), constants: [nil],
        inputCount: 1, outputCount: 1))
    let schema = try #require(OperatorTable.lookup(id)).schema
    let context = makeContext()
    context.begin(places: 0..<0, areGiven: false)
    let frame = Inputs([input], schema)
    try made.run(frame, context)
    let inferred = try made.infer([ValueType(input.kind)])[0]
    let result = try #require(context.results.first ?? nil)
    #expect(result.agrees(with: inferred.kind))
    return result
  }

  private func map(_ keys: Tensor, _ values: [Tensor]) -> Value {
    .map(ValueMap(keys: keys, values: values.map { .tensor($0) }))
  }

  private func scalars(_ values: [Double], _ dtype: DType = .float32) throws -> [Tensor] {
    try values.map { try tensor([$0], [], dtype) }
  }

  @Test("ZipMap gives each row as a map of scalars") func zipMap() throws {
    let x = Value.tensor(try tensor([1, 2, 3, 4], [2, 2]))
    for labels in [
      ["classlabels_int64s": AttributeValue.ints([7, 9])],
      ["classlabels_strings": .strings(["a", ""])],
    ] {
      guard case .sequence(let rows) = try run("ZipMap", x, labels) else {
        Issue.record("no sequence")
        return
      }
      #expect(rows.elements.count == 2)
      for (index, row) in rows.elements.enumerated() {
        guard case .map(let map) = row else {
          Issue.record("no map")
          return
        }
        if map.keys.dtype == .string {
          #expect(map.keys.strings == ["a", ""])
        } else {
          #expect(map.keys.values == [7, 9])
        }
        let values = map.values.compactMap { $0.tensor }
        #expect(values.map(\.shape) == [[], []])
        #expect(values.map { $0.values[0] } == [Double(2 * index + 1), Double(2 * index + 2)])
      }
    }
    let error = #expect(throws: MartletError.self) {
      try run("ZipMap", x, ["classlabels_int64s": .ints([7])])
    }
    #expect(error?.expected == "1 features")
  }

  @Test("DictVectorizer looks keys up; others are left out") func dictVectorizer() throws {
    let keys = try Tensor(strings: ["c", "a", "x"], [3])
    let words: [String: AttributeValue] = ["string_vocabulary": .strings(["a", "b", "c"])]
    for dtype in [DType.float32, .float64, .int64] {
      let result = try run("DictVectorizer", map(keys, scalars([8, 4, 5], dtype)), words)
      #expect(result.tensor?.shape == [1, 3] && result.tensor?.values == [4, 0, 8])
      #expect(result.tensor?.dtype == dtype)
    }
    let texts = try ["p", "q"].map { try Tensor(strings: [$0], []) }
    for keys in [[:], words.merging(["int64_vocabulary": .ints([1])]) { $1 }] {
      let error = martletError { _ = try run("DictVectorizer", map(ints([1]), texts), keys) }
      #expect(error?.code == .invalidArgument && error?.expected == "keys in one of them")
    }
    let numbers: [String: AttributeValue] = ["int64_vocabulary": .ints([3, 5, 1])]
    let result = try run("DictVectorizer", map(ints([1, 3]), texts), numbers)
    #expect(result.tensor?.strings == ["q", "", "p"])
    let error = #expect(throws: MartletError.self) {
      try run("DictVectorizer", map(keys, scalars([1, 2, 3])), numbers)
    }
    #expect(error?.code == .invalidArgument)
    #expect(throws: MartletError.self) {
      try run("DictVectorizer", map(ints([1]), [ints([1, 2])]), numbers)
    }
  }

  @Test("CastMap orders by keys, or puts values at them") func castMap() throws {
    let numbers = map(try ints([5, 0, 2]), try scalars([1.5, 2.5, 3.5]))
    #expect(try run("CastMap", numbers, [:]).tensor?.values == [2.5, 3.5, 1.5])
    #expect(
      try run("CastMap", numbers, ["cast_to": .string("TO_INT64")]).tensor?.values == [2, 3, 1])
    let sparse: [String: AttributeValue] = ["map_form": .string("SPARSE"), "max_map": .int(7)]
    #expect(try run("CastMap", numbers, sparse).tensor?.values == [2.5, 0, 3.5, 0, 0, 1.5, 0])
    let words = sparse.merging(["cast_to": .string("TO_STRING")]) { $1 }
    #expect(
      try run("CastMap", numbers, words).tensor?.strings == ["2.5", "", "3.5", "", "", "1.5", ""])
    let texts = map(try ints([1, 0]), try ["2.5", "-1"].map { try Tensor(strings: [$0], []) })
    #expect(try run("CastMap", texts, [:]).tensor?.values == [-1, 2.5])
    let error = #expect(throws: MartletError.self) {
      try run("CastMap", numbers, sparse.merging(["max_map": .int(5)]) { $1 })
    }
    #expect(error?.message.contains("key 5 is not below") == true)
    #expect(throws: MartletError.self) { try run("CastMap", .tensor(tensor([1])), [:]) }
  }
}
