import MartletCore
import Testing

@testable import MartletOperators

@Suite struct StringOperatorsTests {
  private func strings(_ values: [String], _ shape: [Int]? = nil) throws -> Tensor {
    try Tensor(strings: values, shape ?? [values.count])
  }

  @Test("StringConcat broadcasts, takes any strides and keeps what has nothing added")
  func concat() throws {
    let x = try strings(["a", "", "ü", "d"], [2, 2])
    let result = try run("StringConcat", [x.permuted([1, 0]), strings(["1", ""])])[0]
    #expect(result.shape == [2, 2] && result.strings == ["a1", "ü", "1", "d"])
    #expect(
      try run("StringConcat", [strings(["é"], []), strings(["x", "y"], [1, 2, 1])])[0].strings
        == ["éx", "éy"])
    #expect(
      try run("StringConcat", [strings([], [0, 1]), strings(["x", "y"])])[0].shape == [0, 2])
    #expect(throws: MartletError.self) { try run("StringConcat", [x, strings(["1", "2", "3"])]) }
    #expect(throws: MartletError.self) { try run("StringConcat", [x, tensor([1, 2])]) }
  }

  @Test("StringConcat asks for memory before it takes it") func concatRoom() throws {
    let long = try strings([String(repeating: "x", count: 1 << 22)], [1])
    let many = try strings([String](repeating: "y", count: 1 << 18))
    let error = #expect(throws: MartletError.self) {
      try run("StringConcat", [long, many.reshaped([1 << 18, 1]).broadcast(to: [1 << 18, 4])])
    }
    #expect(error?.code == .outOfMemory)
  }

  @Test(
    "StringSplit splits at a delimiter, which empties stand between",
    arguments: [
      (
        ",", -1, ["a,,b", "", ",", "x"], [3, 1, 2, 1],
        ["a", "", "b", "", "", "", "", "", "", "x", "", ""]
      ),
      (",", 1, ["a,b,c", "d"], [2, 1], ["a", "b,c", "d", ""]),
      (",", 0, ["a,b"], [1], ["a,b"]),
      ("aab", -1, ["aaabaabx", "aab"], [3, 2], ["a", "", "x", "", "", ""]),
      ("aa", -1, ["aaaaa"], [3], ["", "", "a"]),
      ("ß", -1, ["eßz"], [2], ["e", "z"]),
      (
        "", -1, ["a  b\u{3000}c", " \t\n", "", "  d "], [3, 0, 0, 1],
        ["a", "b", "c", "", "", "", "", "", "", "d", "", ""]
      ),
      ("", 1, [" a b  c ", "d "], [2, 1], ["a", "b  c", "d", ""]),
      ("", 0, [" a b ", " "], [1, 0], ["a b", ""]),
      ("", -1, ["", " "], [0, 0], []),
    ] as [(String, Int, [String], [Int], [String])])
  func split(
    _ delimiter: String, _ most: Int, _ input: [String], _ counts: [Int], _ parts: [String]
  ) throws {
    let results = try run(
      "StringSplit", [strings(input)],
      ["delimiter": .string(delimiter), "maxsplit": .int(most)], outputs: 2)
    #expect(results[0].strings == parts)
    #expect(results[0].shape == [input.count, counts.max() ?? 0])
    #expect(results[1].values == counts.map(Double.init))
    #expect(results[1].shape == [input.count] && results[1].dtype == .int64)
  }

  @Test("StringSplit gives the input's shape an axis more, scalars and none too")
  func splitShapes() throws {
    let scalar = try run("StringSplit", [strings(["a b"], [])], outputs: 2)
    #expect(scalar[0].shape == [2] && scalar[1].shape == [] && scalar[0].strings == ["a", "b"])
    let none = try run("StringSplit", [strings([], [0, 3])], outputs: 2)
    #expect(none[0].shape == [0, 3, 0] && none[1].shape == [0, 3])
    let types = try infer("StringSplit", [ValueType(dtype: .string, shape: [.known(2)])])
    #expect(types[0].shape == [.known(2), .unknown] && types[1].shape == [.known(2)])
  }

  @Test("StringNormalizer drops stop words and changes case") func normalizer() throws {
    func normalized(
      _ input: [String], _ attributes: [String: AttributeValue], _ shape: [Int]? = nil
    ) throws -> Tensor {
      try run("StringNormalizer", [strings(input, shape)], attributes)[0]
    }
    let days = ["monday", "Tuesday", "", "ÉTÉ"]
    #expect(try normalized(days, [:]).strings == days)
    #expect(
      try normalized(
        days,
        [
          "stopwords": .strings(["MONDAY"]), "is_case_sensitive": .int(1),
          "case_change_action": .string("UPPER"),
        ]
      ).strings == ["MONDAY", "TUESDAY", "", "ÉTÉ"])
    #expect(
      try normalized(
        days, ["stopwords": .strings(["MONDAY", "été"]), "case_change_action": .string("LOWER")]
      ).strings == ["tuesday", ""])
    // Stop words are whole elements, byte by byte.
    #expect(
      try normalized(["e\u{301}", "a b"], ["stopwords": .strings(["é", "a", "b"])]).strings
        == ["e\u{301}", "a b"])
    let row = try normalized(["A", "b"], ["stopwords": .strings(["a", "B"])], [1, 2])
    #expect(row.shape == [1, 1] && row.strings == [""])
    let none = try normalized([""], ["stopwords": .strings([""])])
    #expect(none.shape == [1] && none.strings == [""])
  }

  @Test("StringNormalizer names what it does not take") func normalizerFaults() throws {
    let x = try strings(["a", "b"], [2, 1])
    let shape = #expect(throws: MartletError.self) { try run("StringNormalizer", [x]) }
    #expect(shape?.message.contains("[C] or [1, C]") ?? false)
    #expect(throws: MartletError.self) {
      try infer("StringNormalizer", [ValueType(dtype: .string, shape: [.known(3), .unknown])])
    }
    let action = #expect(throws: MartletError.self) {
      try run("StringNormalizer", [strings(["a"])], ["case_change_action": .string("TITLE")])
    }
    #expect(action?.message.contains("TITLE") ?? false)
    let locale = #expect(throws: MartletError.self) {
      try run(
        "StringNormalizer", [strings(["a"])],
        ["case_change_action": .string("UPPER"), "locale": .string("tr_TR.UTF-8")])
    }
    #expect(locale?.code == .unsupported)
    #expect(
      try run(
        "StringNormalizer", [strings(["a"])],
        ["case_change_action": .string("UPPER"), "locale": .string("en_US")])[0].strings == ["A"])
  }

  @Test("RegexFullMatch asks each element, empty ones too") func regex() throws {
    let x = try strings(["www.example.com", "", "example", "a\nb"], [2, 2])
    let result = try run(
      "RegexFullMatch", [x.permuted([1, 0])], ["pattern": .string(#"(www\..*)?"#)])[0]
    #expect(result.dtype == .bool && result.shape == [2, 2] && result.values == [1, 0, 1, 0])
    #expect(
      try run("RegexFullMatch", [strings([], [0])], ["pattern": .string("a")])[0].shape == [0])
    let error = #expect(throws: MartletError.self) {
      try run("RegexFullMatch", [x], ["pattern": .string("(a")])
    }
    #expect(
      error?.message
        == "RegexFullMatch: attribute 'pattern': regular expression: missing ) at byte 0: (a")
    #expect(error?.operatorName == "RegexFullMatch" && error?.input == "pattern")
    #expect(throws: MartletError.self) { try run("RegexFullMatch", [x]) }
    #expect(throws: MartletError.self) {
      try run("RegexFullMatch", [tensor([1])], ["pattern": .string("a")])
    }
  }

  @Test("Equal compares strings byte by byte; Less takes none") func equal() throws {
    let x = try strings(["a", "", "é", "b"], [2, 2])
    let result = try run("Equal", [x, strings(["a", ""])])[0]
    #expect(result.shape == [2, 2] && result.values == [1, 1, 0, 0])
    #expect(try values("Equal", [strings(["é"]), strings(["e\u{301}"])]) == [0])
    #expect(throws: MartletError.self) { try run("Equal", [x, tensor([1])]) }
  }

  @Test("operators that move elements move strings") func movement() throws {
    let x = try strings(["a", "", "c", "d", "e", "f"], [2, 3])
    let condition = try tensor([1, 0, 1], nil, .bool)
    #expect(
      try run("Where", [condition, x, strings(["-"], [])])[0].strings
        == ["a", "-", "c", "d", "-", "f"])
    #expect(
      try run("Gather", [x, ints([2, 0])], ["axis": .int(1)])[0].strings == ["c", "a", "f", "d"])
    #expect(try run("Transpose", [x])[0].strings == ["a", "d", "", "e", "c", "f"])
    #expect(
      try run("Concat", [x, strings(["z", "y"], [2, 1])], ["axis": .int(1)])[0].strings
        == ["a", "", "c", "z", "d", "e", "f", "y"])
    #expect(try run("Tile", [strings(["a", "b"]), ints([2])])[0].strings == ["a", "b", "a", "b"])
    #expect(
      try run("Slice", [x, ints([2]), ints([-4]), ints([1]), ints([-2])])[0].strings
        == ["c", "a", "f", "d"])
    #expect(
      try run("GatherElements", [x, ints([2, 1], [2, 1])], ["axis": .int(1)])[0].strings
        == ["c", "e"])
    #expect(try run("Expand", [strings(["q"]), ints([2, 2])])[0].strings == ["q", "q", "q", "q"])
    #expect(
      try run("ScatterElements", [x, ints([1], [1, 1]), strings(["!"], [1, 1])])[0].strings
        == ["a", "", "c", "!", "e", "f"])
  }
}
