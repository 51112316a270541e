import MartletCore
import Testing

@testable import MartletOperators

@Suite struct ArithmeticTests {
  static let numbers = DType.wideCases.filter { $0 != .bool }

  @Test("every number type adds, subtracts, multiplies and divides", arguments: numbers)
  func allTypes(_ dtype: DType) throws {
    let a = try tensor([6, 9, 100, 0], nil, dtype)
    let b = try tensor([2, 3, 7, 5], nil, dtype)
    #expect(try values("Add", [a, b]) == [8, 12, 107, 5])
    #expect(try values("Sub", [a, b]).prefix(3) == [4, 6, 93])
    #expect(try values("Mul", [a, tensor([2, 3, 1, 5], nil, dtype)]) == [12, 27, 100, 0])
    #expect(try values("Div", [a, b]).prefix(2) == [3, 3])
    #expect(try values("Max", [a, b]) == [6, 9, 100, 5])
    #expect(try values("Min", [a, b]) == [2, 3, 7, 0])
  }

  @Test("inputs broadcast along leading, middle and trailing axes") func broadcasting() throws {
    let a = try iota([2, 3, 4])
    let row = try values("Add", [a, tensor([10, 20, 30, 40])])
    #expect(row[0] == 10 && row[5] == 25 && row[23] == 63)
    let channel = try values("Mul", [a, tensor([1, 10, 100], [3, 1])])
    #expect(channel[3] == 3 && channel[4] == 40 && channel[23] == 2300)
    let lead = try values("Sub", [a, tensor([0, 1], [2, 1, 1])])
    #expect(lead[11] == 11 && lead[12] == 11)
    let outer = try run("Add", [tensor([1, 2], [2, 1]), tensor([10, 20, 30])])[0]
    #expect(outer.shape == [2, 3] && outer.values == [11, 21, 31, 12, 22, 32])
    #expect(try values("Add", [tensor([5], []), tensor([7], [])]) == [12])
    #expect(try run("Add", [tensor([], [0, 3]), tensor([1, 2, 3])])[0].shape == [0, 3])
  }

  @Test("inputs may have any strides") func strided() throws {
    let a = try iota([3, 4]).permuted([1, 0])
    let b = try iota([4, 3])
    let sum = try values("Add", [a, b])
    #expect(sum == [0, 5, 10, 4, 9, 14, 8, 13, 18, 12, 17, 22])
    let reversed = try iota([4], .int32).sliced(axis: 0, start: 3, count: 4, step: -1)
    #expect(try values("Sub", [reversed, iota([4], .int32)]) == [3, 1, -1, -3])
  }

  @Test("large tensors give the same as small ones, on any number of threads") func large() throws {
    let count = 200_003
    let a = try Tensor(uninitialized: .float32, [count])
    for index in 0..<count { a.typed(Float.self)[index] = Float(index % 1000) }
    let product = try run("Mul", [a, a])[0]
    defer { withExtendedLifetime(product) {} }
    let result = product.typed(Float.self)
    for index in stride(from: 0, to: count, by: 997) {
      let value = Float(index % 1000)
      #expect(result[index] == value * value)
    }
  }

  @Test("integer division truncates, and neither zero nor overflow traps") func integerDivision()
    throws
  {
    let a = try tensor([7, -7, 7, -7, 5], nil, .int32)
    let b = try tensor([2, 2, -2, -2, 0], nil, .int32)
    #expect(try values("Div", [a, b]) == [3, -3, -3, 3, 0])
    let least = try tensor([-128], nil, .int8)
    #expect(try values("Div", [least, tensor([-1], nil, .int8)]) == [-128])
    #expect(try values("Abs", [least]) == [-128])
    #expect(try values("Neg", [least]) == [-128])
    #expect(try values("Mod", [least, tensor([-1], nil, .int8)]) == [0])
    #expect(try values("Mod", [least, tensor([0], nil, .int8)]) == [0])
    #expect(try values("Add", [tensor([127], nil, .int8), tensor([1], nil, .int8)]) == [-128])
  }

  @Test("int64 divided by one number is the same as by as many") func divisionByOne() throws {
    let numbers = (0..<40).map { (index: Int) -> Double in
      let small = Double(index * 7919 % 101 - 50)
      return index % 3 == 0 ? small : small * 1_000_003
    }
    let a = try tensor(numbers, nil, .int64)
    for divisor in [1.0, -1, 2, 7, -7, 10, 1024, -1000, 0, 0x1p62] {
      let one = try values("Div", [a, tensor([divisor], nil, .int64)])
      let each = try values(
        "Div", [a, tensor([Double](repeating: divisor, count: 40), nil, .int64)])
      #expect(one == each)
    }
  }

  @Test("Mod takes the divisor's sign, with fmod the dividend's") func modulo() throws {
    let a = try tensor([-4, 7, 5, 4, -7, 8], nil, .int64)
    let b = try tensor([2, -3, 8, -2, 3, 5], nil, .int64)
    #expect(try values("Mod", [a, b]) == [0, -2, 5, 0, 2, 3])
    #expect(try values("Mod", [a, b], ["fmod": .int(1)]) == [0, 1, 5, 0, -1, 3])
    let x = try tensor([-4.3, 7.2])
    #expect(
      agree(try values("Mod", [x, tensor([2.1, -3.4])], ["fmod": .int(1)]), [-0.1, 0.4], 1e-5))
  }

  @Test("Pow takes exponents of another type") func pow() throws {
    let x = try tensor([1, 2, 3])
    #expect(try values("Pow", [x, tensor([4, 5, 6])]) == [1, 32, 729])
    #expect(try values("Pow", [x, ints([2], [])]) == [1, 4, 9])
    #expect(
      try values("Pow", [tensor([2, -1], nil, .int32), tensor([-1, 3], nil, .int32)]) == [0, -1])
    #expect(try values("Pow", [tensor([2, 3], nil, .int64), tensor([2, 0.5])]) == [4, 1])
    #expect(
      agree(try values("Pow", [x, tensor([0.5], [])]), [1, 2.0.squareRoot(), 3.0.squareRoot()]))
  }

  @Test("Sum and Mean fold any number of inputs") func variadic() throws {
    let parts = [try tensor([1, 2]), try tensor([3, 4]), try tensor([5], [1])]
    #expect(try values("Sum", parts) == [9, 11])
    #expect(agree(try values("Mean", parts), [3, 11.0 / 3]))
    #expect(try values("Sum", [parts[0]]) == [1, 2])
  }

  @Test("Max and Min hand on NaN") func notANumber() throws {
    let a = try tensor([.nan, 1, 2])
    let b = try tensor([1, .nan, 3])
    #expect(agree(try values("Max", [a, b]), [.nan, .nan, 3]))
    #expect(agree(try values("Min", [b, a]), [.nan, .nan, 2]))
  }

  @Test("Clip takes either bound, in every type") func clip() throws {
    let x = try tensor([-3, 0, 3])
    #expect(try values("Clip", [x, tensor([-1], []), tensor([1], [])]) == [-1, 0, 1])
    #expect(try values("Clip", [x, nil, tensor([1], [])]) == [-3, 0, 1])
    #expect(try values("Clip", [x]) == [-3, 0, 3])
    let i = try tensor([-3, 0, 3], nil, .int8)
    #expect(
      try values("Clip", [i, tensor([-1], [], .int8), tensor([2], [], .int8)]) == [-1, 0, 2])
  }

  @Test("shapes that do not broadcast and types that differ are named") func errors() throws {
    let error = #expect(throws: MartletError.self) {
      try run("Add", [iota([2, 3]), iota([4])])
    }
    #expect(error?.code == .invalidShape && error?.message.contains("Add") == true)
    let mixed = #expect(throws: MartletError.self) {
      try run("Add", [iota([2]), iota([2], .int32)])
    }
    #expect(mixed?.code == .invalidDType)
    #expect(throws: MartletError.self) { try run("Add", [iota([2]), nil]) }
  }
}
