import MartletCore

/// A vector's strings without the stop words, in upper or lower case if wanted.
///
/// Stop words are whole elements; without `is_case_sensitive` they are compared in lower case. Cases
/// are Unicode's own, the same for all locales; a locale whose letters have others (Turkish,
/// Azerbaijani, Lithuanian) is refused where case matters. One empty string stands for none.
/// Source: ONNX StringNormalizer-10.
package struct StringNormalizer: Operator {
  package static let schema = OperatorSchema(
    name: "StringNormalizer", inputs: ["X"], outputs: ["Y"],
    attributes: [
      "case_change_action": "LOWER, UPPER or NONE; NONE",
      "is_case_sensitive": "whether stop words must agree in case, 0",
      "locale": "whose rules for letters are meant; all have the same but for those refused",
      "stopwords": "what is left out",
    ], traits: [.anyElement])

  private enum CaseChange: String {
    case lower = "LOWER"
    case upper = "UPPER"
    case none = "NONE"
  }

  private let change: CaseChange
  private let isCaseSensitive: Bool
  private let stopWords: Set<[UInt8]>

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    let action = try attributes.string("case_change_action", default: "NONE")
    guard let change = CaseChange(rawValue: action) else {
      throw StringNormalizer.wrong("case_change_action", action, "LOWER, UPPER or NONE")
    }
    self.change = change
    isCaseSensitive = try attributes.bool("is_case_sensitive", default: false)
    let words = try attributes.optionalStrings("stopwords") ?? []
    let isFolded = !isCaseSensitive
    stopWords = Set(words.map { Array((isFolded ? $0.lowercased() : $0).utf8) })
    let locale = try attributes.string("locale", default: "")
    let language = locale.prefix { $0 != "_" && $0 != "-" && $0 != "." }.lowercased()
    let meansCase = change != .none || !isCaseSensitive && !words.isEmpty
    guard !meansCase || !["tr", "az", "lt"].contains(language) else {
      var error = StringNormalizer.wrong("locale", locale, "one with Unicode's default cases")
      error.code = .unsupported
      throw error
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let shape = inputs.type(0)?.shape else { return [.unknown(.string)] }
    try check(rank: shape.count, first: shape.first, text: Inference.text(shape))
    return [ValueType(dtype: .string, shape: shape.dropLast() + [.unknown])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0, like: .string)
    try check(
      rank: input.rank, first: input.shape.first.map { .known($0) }, text: Shape.text(input.shape))
    var kept: [Text?] = []
    for text in input.texts where !isStopWord(text) {
      kept.append(try changed(text, context.memory.allowance))
    }
    if kept.isEmpty { kept = [nil] }
    let output = try context.output(0, .string, input.shape.dropLast() + [kept.count])
    output.setTexts(kept)
    context.deliver(output)
  }

  private func isStopWord(_ text: Text?) -> Bool {
    if stopWords.isEmpty { return false }
    guard let text else { return stopWords.contains([]) }
    return stopWords.contains(
      isCaseSensitive ? Array(text.bytes) : Array(text.string.lowercased().utf8))
  }

  private func changed(
    _ text: Text?, _ allowance: RunAllowance?
  ) throws(MartletError) -> Text? {
    guard let text else { return nil }
    return switch change {
    case .lower: try Text(text.string.lowercased(), allowance)
    case .upper: try Text(text.string.uppercased(), allowance)
    case .none: text
    }
  }

  private func check(rank: Int, first: Dimension?, text: String) throws(MartletError) {
    if rank == 1 { return }
    if rank == 2 {
      if case .known(let rows)? = first { if rows == 1 { return } } else { return }
    }
    throw .shape(
      "StringNormalizer", "X has the wrong shape", expected: "[C] or [1, C]", actual: text,
      input: "X")
  }

  private static func wrong(_ attribute: String, _ value: String, _ expected: String)
    -> MartletError
  {
    MartletError(
      .invalidArgument, "StringNormalizer: \(attribute) is '\(value)', expected \(expected)",
      operatorName: "StringNormalizer", input: attribute, expected: expected, actual: value)
  }
}
