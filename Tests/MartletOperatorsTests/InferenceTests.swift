import MartletCore
import Testing

@testable import MartletOperators

@Suite struct InferenceTests {
  @Test("a list that claims 2^40 numbers is followed by no operator, at whichever input it stands")
  func hugeLists() throws {
    for type in OperatorTable.all {
      let schema = type.schema
      for slot in 0..<max(schema.inputs.count, 2) {
        for extent in [1 << 40, 1 << 31, Int.max] {
          let count = max(schema.inputs.count, slot + 1)
          var types: [ValueType?] = (0..<count).map { _ in
            ValueType(dtype: .float32, shape: [.known(2), .known(3)])
          }
          types[slot] = ValueType(dtype: .int64, shape: [.known(extent)])
          let node = OperatorNode(
            attributes: Attributes([:], operatorName: schema.name),
            constants: [Tensor?](repeating: nil, count: count), inputCount: count, outputCount: 1)
          guard let made = try? OperatorTable.make(schema.id, node) else { continue }
          for result in (try? made.infer(types)) ?? [] {
            #expect(result.rank ?? 0 <= 2 * Shape.maximumRank, "\(schema.name) \(slot)")
            #expect(result.elements?.count ?? 0 <= Inference.elementLimit, "\(schema.name) \(slot)")
          }
        }
      }
    }
  }

  @Test("a list of as many numbers as a tensor has axes says how many the result has")
  func lists() {
    let list = ValueType(dtype: .int64, shape: [.known(Shape.maximumRank)])
    #expect(Inference.unknownShape(of: list)?.count == Shape.maximumRank)
    let long = ValueType(dtype: .int64, shape: [.known(Shape.maximumRank + 1)])
    #expect(Inference.unknownShape(of: long) == nil)
    #expect(Inference.unknownShape(of: ValueType(dtype: .int64, shape: [.known(-1)])) == nil)
    #expect(Inference.unknownShape(of: ValueType(dtype: .int64, shape: [.unknown])) == nil)
    #expect(Inference.unknownShape(of: nil) == nil)
  }
}
