import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ComparisonsTests {
  @Test("every number type compares, NaN with nothing", arguments: ArithmeticTests.numbers)
  func compare(_ dtype: DType) throws {
    let a = try tensor([1, 2, 3], nil, dtype)
    let b = try tensor([2], [1], dtype)
    #expect(try values("Equal", [a, b]) == [0, 1, 0])
    #expect(try values("Less", [a, b]) == [1, 0, 0])
    #expect(try values("LessOrEqual", [a, b]) == [1, 1, 0])
    #expect(try values("Greater", [a, b]) == [0, 0, 1])
    #expect(try values("GreaterOrEqual", [a, b]) == [0, 1, 1])
    if dtype.isFloatingPoint {
      let nan = try tensor([.nan], nil, dtype)
      #expect(try values("Equal", [nan, nan]) == [0])
      #expect(try values("LessOrEqual", [nan, nan]) == [0])
      let special = try tensor([.nan, .infinity, -.infinity, 1], nil, dtype)
      #expect(try values("IsNaN", [special]) == [1, 0, 0, 0])
      #expect(try values("IsInf", [special]) == [0, 1, 1, 0])
      #expect(try values("IsInf", [special], ["detect_negative": .int(0)]) == [0, 1, 0, 0])
    }
  }

  @Test("logic takes any byte that is not zero for true") func logic() throws {
    let a = try tensor([0, 0, 1, 1], nil, .bool)
    let b = try tensor([0, 1, 0, 1], nil, .bool)
    b.typed(UInt8.self)[3] = 7
    #expect(try values("And", [a, b]) == [0, 0, 0, 1])
    #expect(try values("Or", [a, b]) == [0, 1, 1, 1])
    #expect(try values("Xor", [a, b]) == [0, 1, 1, 0])
    #expect(try values("Not", [b]) == [1, 0, 1, 0])
    #expect(try values("Equal", [a, b]) == [1, 0, 0, 1])
  }

  @Test("bits, and shifts by the width or more") func bits() throws {
    let a = try tensor([12, 10, 255], nil, .uint8)
    #expect(try values("BitwiseAnd", [a, tensor([10], [1], .uint8)]) == [8, 10, 10])
    #expect(try values("BitwiseOr", [a, tensor([1], [1], .uint8)]) == [13, 11, 255])
    #expect(try values("BitwiseXor", [a, a]) == [0, 0, 0])
    #expect(try values("BitwiseNot", [a]) == [243, 245, 0])
    let left = ["direction": AttributeValue.string("LEFT")]
    #expect(try values("BitShift", [a, tensor([1, 8, 200], nil, .uint8)], left) == [24, 0, 0])
    #expect(
      try values("BitShift", [a, tensor([2], [1], .uint8)], ["direction": .string("RIGHT")])
        == [3, 2, 63])
    #expect(throws: MartletError.self) { try run("BitShift", [a, a]) }
    let right: [String: AttributeValue] = ["direction": .string("RIGHT")]
    for dtype in [DType.int8, .int16, .int32, .int64] {
      let x = try tensor([-1, 100, 1, -7, -7], nil, dtype)
      let by = try tensor([-1, -1, -128, 100, 3], nil, dtype)
      #expect(try values("BitShift", [x, by], right) == [-1, 0, 0, -1, -1])
      #expect(try values("BitShift", [x, by], left) == [0, 0, 0, 0, -56])
    }
  }

  @Test("Where picks with broadcasting, in every width") func select() throws {
    let condition = try tensor([1, 0], [2, 1], .bool)
    for dtype in DType.wideCases {
      let x = try tensor([1, 1, 0], nil, dtype)
      let y = try tensor([0], [], dtype)
      #expect(try values("Where", [condition, x, y]) == [1, 1, 0, 0, 0, 0])
    }
    let inferred = try infer(
      "Where",
      [
        ValueType(dtype: .bool, shape: [.known(2)], elements: [.known(1), .known(0)]),
        ValueType(dtype: .int64, shape: [.known(2)], elements: [.symbol("batch"), .known(3)]),
        ValueType(dtype: .int64, shape: [.known(2)], elements: [.known(1), .symbol("n")]),
      ])
    #expect(inferred[0].elements == [.symbol("batch"), .symbol("n")])
  }
}
