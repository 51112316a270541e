import MartletBackends
import MartletCore

/// Counts n-grams of a pool in each row of X, with gaps of up to `max_skip_count` between their
/// members: `[C]` becomes `[max(ngram_indexes) + 1]`, `[N, C]` so many for each row.
///
/// Weights belong to columns of the output, as ONNX Runtime and ONNX's reference read them.
/// Source: ONNX TfIdfVectorizer-9.
package struct TfIdfVectorizer: Operator {
  package static let schema = OperatorSchema(
    name: "TfIdfVectorizer", inputs: ["X"], outputs: ["Y"],
    attributes: [
      "mode": "TF: counts; IDF: weights where there are any; TFIDF: counts times weights",
      "min_gram_length": "of the n-grams that count", "max_gram_length": "of those that count",
      "max_skip_count": "how many elements may stand between two of an n-gram",
      "ngram_counts": "where in the pool n-grams of 1, 2, … elements begin",
      "ngram_indexes": "the column of each n-gram of the pool",
      "pool_int64s": "the n-grams, if X has integers", "pool_strings": "if X has strings",
      "weights": "of the columns; 1",
    ], traits: [.anyElement])

  private enum Mode: String {
    case counts = "TF"
    case presence = "IDF"
    case weighted = "TFIDF"
  }

  private let mode: Mode
  private let grams: NGrams
  private let lengths: ClosedRange<Int>
  private let mostSkipped: Int
  private let columns: [Int]
  private let width: Int
  private let weights: [Float]?

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    let modeName = try attributes.string("mode", default: "")
    guard let mode = Mode(rawValue: modeName) else {
      throw Self.wrong("mode", "is '\(modeName)'", "TF, IDF or TFIDF")
    }
    self.mode = mode
    let shortest = try attributes.int("min_gram_length", default: 0)
    let longest = try attributes.int("max_gram_length", default: 0)
    guard 1 <= shortest, shortest <= longest else {
      throw Self.wrong(
        "min_gram_length", "is \(shortest) and max_gram_length \(longest)",
        "1 or more, in order")
    }
    lengths = shortest...longest
    mostSkipped = try attributes.int("max_skip_count", default: 0)
    guard mostSkipped >= 0 else {
      throw Self.wrong("max_skip_count", "is \(mostSkipped)", "0 or more")
    }
    columns = try attributes.optionalInts("ngram_indexes") ?? []
    let (width, overflow) = (columns.max() ?? -1).addingReportingOverflow(1)
    guard columns.allSatisfy({ $0 >= 0 }), !columns.isEmpty, !overflow else {
      throw Self.wrong("ngram_indexes", "has no or negative columns", "the column of each n-gram")
    }
    self.width = width
    weights = try attributes.optionalFloats("weights").flatMap { $0.isEmpty ? nil : $0 }
    guard weights.map({ $0.count >= width }) ?? true else {
      throw Self.wrong(
        "weights", "has \(weights?.count ?? 0) elements", "one for each of \(width) columns")
    }
    grams = try NGrams(
      numbers: try attributes.optionalInts("pool_int64s"),
      strings: try attributes.optionalStrings("pool_strings"),
      starts: try attributes.optionalInts("ngram_counts") ?? [], lengths, count: columns.count)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shape = inputs.type(0)?.shape
    if let shape, shape.count != 1, shape.count != 2 { throw wrongRank(shape.count) }
    return [ValueType(dtype: .float32, shape: shape.map { $0.dropLast() + [.known(width)] })]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, grams.takes, grams.takesText)
    guard x.rank == 1 || x.rank == 2 else { throw wrongRank(x.rank) }
    let output = try context.output(0, .float32, x.shape.dropLast() + [width])
    let results = output.typed(Float.self)
    results.update(repeating: 0, count: output.count)
    let tokens = grams.tokens(x)
    let length = x.shape.last ?? 0
    for row in 0..<(x.rank == 2 ? x.shape[0] : 1) {
      let out = UnsafeMutableBufferPointer(start: results + row * width, count: width)
      try count(tokens[(row * length)..<((row + 1) * length)], into: out, context)
      if mode == .counts { continue }
      for column in 0..<width where out[column] > 0 {
        let weight = weights?[column] ?? 1
        out[column] = mode == .presence ? weight : out[column] * weight
      }
    }
    context.deliver(output)
  }

  private func count(
    _ row: ArraySlice<Int?>, into out: UnsafeMutableBufferPointer<Float>, _ context: RunContext
  ) throws(MartletError) {
    var shortest = lengths.lowerBound
    // Elements further apart than the row is long are not there.
    for step in 1...(min(mostSkipped, max(row.count - 1, 0)) + 1) {
      try context.checkpoint?()
      for start in row.indices {
        var place: Int? = NGrams.root
        var length = 0
        for index in stride(from: start, to: row.endIndex, by: step) {
          length += 1
          guard length <= lengths.upperBound, let token = row[index], let from = place else {
            break
          }
          place = grams.next(from, token)
          if length >= shortest, let gram = place.flatMap(grams.gram) { out[columns[gram]] += 1 }
        }
      }
      // Single elements have no gaps: they count once.
      if shortest == 1 {
        shortest = 2
        if shortest > lengths.upperBound { break }
      }
    }
  }

  private func wrongRank(_ rank: Int) -> MartletError {
    .shape(
      "TfIdfVectorizer", "X has the wrong rank", expected: "1 or 2", actual: "\(rank)", input: "X")
  }

  fileprivate static func wrong(_ attribute: String, _ what: String, _ expected: String)
    -> MartletError
  {
    MartletError(
      .invalidArgument, "TfIdfVectorizer: \(attribute) \(what), expected \(expected)",
      operatorName: "TfIdfVectorizer", input: attribute, expected: expected, actual: what)
  }
}

/// The n-grams of a pool as a tree: from the root along the members' tokens to each n-gram's number.
private struct NGrams: Sendable {
  static let root = 0

  private struct Edge: Hashable {
    let from: Int
    let token: Int
  }

  /// What stands in the pool, each with its token.
  private enum Vocabulary {
    case numbers([Int: Int])
    case strings([[UInt8]: Int])
  }

  private var vocabulary: Vocabulary
  private var edges: [Edge: Int] = [:]
  private var gramOf: [Int?] = [nil]

  init(
    numbers: [Int]?, strings: [String]?, starts: [Int], _ lengths: ClosedRange<Int>, count: Int
  ) throws(MartletError) {
    let tokens: [Int]
    switch (numbers.flatMap { $0.isEmpty ? nil : $0 }, strings.flatMap { $0.isEmpty ? nil : $0 }) {
    case (let numbers?, nil):
      var known: [Int: Int] = [:]
      tokens = NGrams.number(numbers, &known)
      vocabulary = .numbers(known)
    case (nil, let strings?):
      var known: [[UInt8]: Int] = [:]
      tokens = NGrams.number(strings.map { Array($0.utf8) }, &known)
      vocabulary = .strings(known)
    default:
      throw TfIdfVectorizer.wrong(
        "pool_int64s", "and pool_strings are both there or both empty", "one of them")
    }
    guard lengths.upperBound <= starts.count else {
      throw TfIdfVectorizer.wrong(
        "ngram_counts", "has \(starts.count) elements", "max_gram_length or more")
    }
    var gram = 0
    for (index, start) in starts.enumerated() {
      let end = index + 1 < starts.count ? starts[index + 1] : tokens.count
      let length = index + 1
      guard 0 <= start, start <= end, end <= tokens.count, (end - start) % length == 0 else {
        throw TfIdfVectorizer.wrong(
          "ngram_counts", "puts \(length)-grams at \(start) to \(end) of \(tokens.count)",
          "multiples of \(length), in order")
      }
      for first in stride(from: start, to: end, by: length) {
        if lengths.contains(length) { insert(tokens[first..<(first + length)], gram) }
        gram += 1
      }
    }
    guard gram == count else {
      throw TfIdfVectorizer.wrong(
        "ngram_indexes", "has \(count) elements", "one for each of the pool's \(gram) n-grams")
    }
  }

  var takesText: String {
    if case .numbers = vocabulary { "int32 or int64" } else { "string" }
  }

  func takes(_ dtype: DType) -> Bool {
    if case .numbers = vocabulary { dtype == .int32 || dtype == .int64 } else { dtype == .string }
  }

  /// The token of each element; nil for what the pool does not have.
  func tokens(_ x: Tensor) -> [Int?] {
    switch vocabulary {
    case .numbers(let known): SmallTensors.integers(x).map { known[$0] }
    case .strings(let known): x.texts.map { known[$0.map { Array($0.bytes) } ?? []] }
    }
  }

  func next(_ place: Int, _ token: Int) -> Int? { edges[Edge(from: place, token: token)] }

  func gram(_ place: Int) -> Int? { gramOf[place] }

  private mutating func insert(_ tokens: ArraySlice<Int>, _ gram: Int) {
    var place = NGrams.root
    for token in tokens {
      let edge = Edge(from: place, token: token)
      if let next = edges[edge] {
        place = next
      } else {
        edges[edge] = gramOf.count
        place = gramOf.count
        gramOf.append(nil)
      }
    }
    gramOf[place] = gram
  }

  private static func number<Member: Hashable>(_ pool: [Member], _ known: inout [Member: Int])
    -> [Int]
  {
    var tokens: [Int] = []
    for member in pool {
      let token = known[member] ?? known.count
      known[member] = token
      tokens.append(token)
    }
    return tokens
  }
}
