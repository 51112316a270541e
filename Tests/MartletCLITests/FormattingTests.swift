import Testing

@testable import martlet_cli

@Suite struct FormattingTests {
  @Test(arguments: [
    (0.0, 2, "0.00"), (1.005, 1, "1.0"), (12.345, 1, "12.3"), (-0.04, 1, "0.0"),
    (-2.56, 1, "-2.6"), (99.999, 2, "100.00"), (7.5, 0, "8"), (0.05, 2, "0.05"),
  ])
  func `a number is written with fixed digits`(value: Double, digits: Int, text: String) {
    #expect(value.fixed(digits) == text)
  }

  @Test func `JSON is escaped and indented`() {
    let value = JSON.object([
      ("a\"b", .string("line\nbreak \u{1}\\")), ("empty", .array([])),
      ("list", .array([.int(1), .null, .bool(true), .number(.nan)])),
    ])
    #expect(
      value.text == """
        {
          "a\\"b": "line\\nbreak \\u0001\\\\",
          "empty": [],
          "list": [
            1,
            null,
            true,
            null
          ]
        }
        """)
  }

  @Test func `a table aligns its columns and leaves no trailing space`() {
    var table = TextTable(["name", "n", "note"], numeric: 1..<2)
    table.add(["x", "10", ""])
    table.add(["longer", "5", "ok"])
    #expect(table.text == "name     n  note\nx       10\nlonger   5  ok")
  }

  @Test func `percentiles are of the sorted times`() {
    var times = Latencies()
    for value in [5, 1, 4, 2, 3] { times.add(Int64(value) * 1_000_000) }
    #expect(times.percentile(0) == 1)
    #expect(times.median == 3)
    #expect(times.percentile(0.99) == 5)
    #expect(Latencies().median.isNaN)
  }
}
