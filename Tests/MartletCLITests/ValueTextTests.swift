import MartletCore
import ONNXFixtures
import Testing

@testable import martlet_cli

@Suite struct ValueTextTests {
  private let short = ValueText(isFull: false)
  private let full = ValueText(isFull: true)

  private func ramp(_ shape: [Int]) throws -> Value {
    .tensor(try Tensor.floats(shape, (0..<shape.reduce(1, *)).map { Float($0) / 4 }))
  }

  @Test func `elements stand in columns, six digits of each`() throws {
    let tensor = try Tensor.floats([2, 2], [1.0 / 3, -2, 1e-9, .nan])
    #expect(try short.text(.tensor(tensor)) == "  [[0.333333       -2]\n   [   1e-09      nan]]")
    #expect(try full.text(.tensor(tensor)).contains("0.33333334"))
  }

  @Test func `long axes are cut in their middle, unless all is asked for`() throws {
    let text = try short.text(ramp([100]))
    #expect(text == "  [    0  0.25   0.5 ... 24.25  24.5 24.75]")
    #expect(try short.text(ramp([40, 2])).split(separator: "\n").count == 7)
    #expect(try full.text(ramp([40, 2])).split(separator: "\n").count == 40)
    #expect(!(try full.text(ramp([100])).contains("...")))
  }

  @Test func `scalars, empty tensors and other kinds have a text`() throws {
    #expect(try short.text(ramp([])) == "  0")
    #expect(try short.text(ramp([2, 0])) == "  [] (no elements)")
    #expect(try short.text(.optional(nil)) == "  none")
    let words = try Tensor(strings: ["a \"b\"", "c"], [2])
    #expect(try short.text(.tensor(words)) == "  [\"a \\\"b\\\"\" \"c\"]")
    let map = ValueMap(keys: words, values: [try ramp([]), try ramp([2])])
    #expect(
      try short.text(.sequence(ValueSequence([.map(map)])))
        == "  [0]:\n    a \"b\": 0\n    c: [   0 0.25]")
    let bits = try Tensor(uninitialized: .bfloat16, [1])
    bits.typed(UInt16.self)[0] = 0x3FC0
    #expect(try short.text(.tensor(bits)) == "  [1.5]")
    let four = try Tensor(uninitialized: .int4, [2])
    four.typed(UInt8.self)[0] = 0x7F
    #expect(try short.text(.tensor(four)) == "  [-1  7]")
  }

  @Test func `JSON has numbers, and strings for what it has no number for`() throws {
    let tensor = try Tensor.floats([2, 2], [1, .nan, .infinity, -.infinity])
    #expect(try short.json(.tensor(tensor)).text == #"[[1.0, "NaN"], ["Infinity", "-Infinity"]]"#)
    #expect(try short.json(ramp([1001])).text == "null")
    #expect(try full.json(ramp([1001])).text.hasSuffix("250.0]"))
    let words = try Tensor(strings: ["a\n", ""], [2])
    #expect(try short.json(.tensor(words)).text == #"["a\n", ""]"#)
    let map = ValueMap(keys: words, values: [try ramp([]), .optional(nil)])
    #expect(try short.json(.map(map)).text == "{\n  \"a\\n\": 0.0,\n  \"\": null\n}")
  }
}
