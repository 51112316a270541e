import Testing

@testable import MartletCore

@Suite struct ValueTests {
  private func sequence(_ elements: [Value]) throws -> Value {
    .sequence(try ValueSequence(elements))
  }

  @Test("a value knows its levels and its tensors, shared ones as often as they stand in it")
  func extent() throws {
    let tensor = Value.tensor(try Tensor(uninitialized: .float32, [2]))
    #expect((tensor.depth, tensor.tensorCount) == (1, 1))
    let empty = try sequence([])
    #expect((empty.depth, empty.tensorCount) == (1, 0))
    let pair = try sequence([tensor, tensor])
    #expect((pair.depth, pair.tensorCount) == (2, 2))
    #expect((Value.optional(pair).depth, Value.optional(pair).tensorCount) == (3, 2))
    #expect((Value.optional(nil).depth, Value.optional(nil).tensorCount) == (1, 0))
    var nested = pair
    for _ in 0..<60 { nested = try sequence([Value](repeating: nested, count: 1 << 10)) }
    #expect((nested.depth, nested.tensorCount) == (62, .max))
  }

  @Test("what lies in an arena is found in a sequence that holds it")
  func arenas() throws {
    let own = Value.tensor(try Tensor(uninitialized: .float32, [2]))
    let arena = try Storage(byteCount: 64, isArena: true)
    let lent = Value.tensor(
      Tensor(
        unchecked: arena, dtype: .float32, layout: TensorLayout(contiguous: [2]), byteOffset: 0))
    let (settled, lending) = (try sequence([own, own]), try sequence([own, .optional(lent)]))
    #expect(!settled.liesInArena)
    #expect(lending.liesInArena)
    let kept = try sequence([own])
    #expect(!kept.liesInArena && !kept.liesInArena)
  }
}
