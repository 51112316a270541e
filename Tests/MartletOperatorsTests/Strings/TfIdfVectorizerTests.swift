import MartletCore
import Testing

@testable import MartletOperators

@Suite struct TfIdfVectorizerTests {
  private let row = [1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8]

  /// Unigrams 2, 3, 5, 4 and bigrams 5 6, 7 8, 6 7 with changes.
  private func attributes(
    _ lengths: ClosedRange<Int>, skip: Int, _ changes: [String: AttributeValue] = [:]
  ) -> [String: AttributeValue] {
    [
      "mode": .string("TF"), "min_gram_length": .int(lengths.lowerBound),
      "max_gram_length": .int(lengths.upperBound), "max_skip_count": .int(skip),
      "ngram_counts": .ints([0, 4]), "ngram_indexes": .ints([0, 1, 2, 3, 4, 5, 6]),
      "pool_int64s": .ints([2, 3, 5, 4, 5, 6, 7, 8, 6, 7]),
    ].merging(changes) { $1 }
  }

  @Test(
    "counts n-grams with gaps, single elements once",
    arguments: [
      (2...2, 0, [0, 0, 0, 0, 1, 1, 1]), (2...2, 5, [0, 0, 0, 0, 1, 3, 1]),
      (1...2, 5, [0, 3, 1, 0, 1, 3, 1]), (1...1, .max, [0, 3, 1, 0, 0, 0, 0]),
      (2...2, .max, [0, 0, 0, 0, 1, 3, 1]),
    ] as [(ClosedRange<Int>, Int, [Double])])
  func counts(_ lengths: ClosedRange<Int>, _ skip: Int, _ expected: [Double]) throws {
    #expect(try values("TfIdfVectorizer", [ints(row)], attributes(lengths, skip: skip)) == expected)
  }

  @Test("each row of a matrix is counted alone, in any strides") func rows() throws {
    let matrix = try ints(row, [2, 6])
    let result = try run("TfIdfVectorizer", [matrix], attributes(1...2, skip: 5))[0]
    #expect(result.shape == [2, 7] && result.dtype == .float32)
    #expect(result.values == [0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1])
    let turned = try run(
      "TfIdfVectorizer", [ints([7, 1, 8, 1], [2, 2]).permuted([1, 0])], attributes(2...2, skip: 0))
    #expect(turned[0].values == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(
      try values("TfIdfVectorizer", [ints([])], attributes(1...2, skip: 1))
        == [Double](repeating: 0, count: 7))
  }

  @Test("strings are counted, weighted by their columns") func strings() throws {
    func result(_ mode: String, weights: [Float]?) throws -> [Double] {
      var all = attributes(
        1...1, skip: 0,
        [
          "mode": .string(mode), "ngram_counts": .ints([0]), "ngram_indexes": .ints([2, 0, 1]),
          "pool_strings": .strings(["a", "é", ""]),
        ])
      all["pool_int64s"] = nil
      all["weights"] = weights.map { .floats($0) }
      let x = try Tensor(strings: ["a", "a", "", "e\u{301}", "b"], [5])
      return try values("TfIdfVectorizer", [x], all)
    }
    #expect(try result("TF", weights: [1, 2, 4]) == [0, 1, 2])
    #expect(try result("IDF", weights: [1, 2, 4]) == [0, 2, 4])
    #expect(try result("TFIDF", weights: [1, 2, 4]) == [0, 2, 8])
    #expect(try result("IDF", weights: nil) == [0, 1, 1])
  }

  @Test(
    "contradicting attributes are named",
    arguments: [
      ("mode", .string("BM25")), ("min_gram_length", .int(0)), ("max_gram_length", .int(1)),
      ("max_gram_length", .int(3)), ("max_skip_count", .int(-1)),
      ("ngram_counts", .ints([0, 5])), ("ngram_counts", .ints([4, 0])),
      ("ngram_counts", .ints([0, 40])), ("ngram_counts", .ints([-1, 4])),
      ("ngram_indexes", .ints([0, 1])), ("ngram_indexes", .ints([])),
      ("ngram_indexes", .ints([0, 1, 2, 3, 4, 5, -6])),
      ("ngram_indexes", .ints([0, 1, 2, 3, 4, 5, .max])),
      ("weights", .floats([1, 2])), ("pool_strings", .strings(["a"])), ("pool_int64s", .ints([])),
    ] as [(String, AttributeValue)])
  func faults(_ name: String, _ value: AttributeValue) throws {
    let error = #expect(throws: MartletError.self) {
      try run("TfIdfVectorizer", [ints(row)], attributes(2...2, skip: 0, [name: value]))
    }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.hasPrefix("TfIdfVectorizer: ") ?? false)
  }

  @Test("a column that no memory reaches is a status") func room() throws {
    let far = attributes(
      2...2, skip: 0, ["ngram_indexes": .ints([0, 1, 2, 3, 4, 5, Int.max - 1])])
    #expect(throws: MartletError.self) { try run("TfIdfVectorizer", [ints(row)], far) }
    #expect(throws: MartletError.self) {
      try run("TfIdfVectorizer", [ints(row, [1, 3, 4])], attributes(2...2, skip: 0))
    }
    #expect(throws: MartletError.self) {
      try run("TfIdfVectorizer", [tensor([1])], attributes(2...2, skip: 0))
    }
  }
}
