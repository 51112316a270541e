import MartletCore

/// An Einstein sum's equation, parsed: `bij,bjk->bik`, with `...` for axes that broadcast.
struct EinsumEquation: Sendable {
  /// An axis' name: a letter, or the place of an ellipsis axis counted from the right.
  enum Label: Hashable, Sendable {
    case letter(Character)
    case ellipsis(Int)
  }

  /// Labels of a term before the ellipsis and after it; `hasEllipsis` says whether there is one.
  struct Term: Sendable {
    var before: [Character] = []
    var after: [Character] = []
    var hasEllipsis = false

    var letters: [Character] { before + after }

    /// The labels of a term with `count` ellipsis axes.
    func labels(ellipsisCount count: Int) -> [Label] {
      before.map { .letter($0) } + (0..<count).reversed().map { .ellipsis($0) }
        + after.map { .letter($0) }
    }
  }

  let text: String
  let inputs: [Term]
  /// nil: all letters that occur once, in alphabetical order, after the ellipsis.
  private let output: Term?

  init(_ text: String) throws(MartletError) {
    self.text = text
    let compact = text.filter { !$0.isWhitespace }
    var sides = [""]
    var rest = Substring(compact)
    while let character = rest.first {
      if rest.hasPrefix("->") {
        sides.append("")
        rest = rest.dropFirst(2)
      } else {
        sides[sides.count - 1].append(character)
        rest = rest.dropFirst()
      }
    }
    guard sides.count <= 2 else { throw EinsumEquation.malformed(text, "more than one '->'") }
    var inputs: [Term] = []
    for part in sides[0].split(separator: ",", omittingEmptySubsequences: false) {
      inputs.append(try EinsumEquation.term(part, text))
    }
    self.inputs = inputs
    output = sides.count == 2 ? try EinsumEquation.term(Substring(sides[1]), text) : nil
    if let output {
      let known = Set(inputs.flatMap(\.letters))
      guard Set(output.letters).count == output.letters.count,
        output.letters.allSatisfy(known.contains)
      else { throw EinsumEquation.malformed(text, "an output axis that no input has, or twice") }
    }
  }

  private static func term(_ part: Substring, _ text: String) throws(MartletError) -> Term {
    var term = Term()
    var rest = part
    while let character = rest.first {
      if rest.hasPrefix("...") && !term.hasEllipsis {
        term.hasEllipsis = true
        rest = rest.dropFirst(3)
        continue
      }
      guard character.isASCII, character.isLetter else {
        throw malformed(text, "'\(character)' where a letter was expected")
      }
      if term.hasEllipsis { term.after.append(character) } else { term.before.append(character) }
      rest = rest.dropFirst()
    }
    return term
  }

  private static func malformed(_ text: String, _ why: String) -> MartletError {
    MartletError(
      .invalidArgument, "Einsum: equation '\(text)' has \(why)", operatorName: "Einsum",
      input: "equation", expected: "terms of letters and '...', as in bij,bjk->bik", actual: text)
  }

  /// The output's labels where the ellipsis stands for `count` axes.
  func outputLabels(ellipsisCount count: Int) -> [Label] {
    if let output { return output.labels(ellipsisCount: output.hasEllipsis ? count : 0) }
    var occurrences: [Character: Int] = [:]
    for letter in inputs.flatMap(\.letters) { occurrences[letter, default: 0] += 1 }
    let once = occurrences.filter { $0.value == 1 }.keys.sorted()
    return (0..<count).reversed().map { .ellipsis($0) } + once.map { .letter($0) }
  }

  /// The labels of input `index` of this rank; throws where they do not fit.
  func labels(_ index: Int, rank: Int) throws(MartletError) -> [Label] {
    let term = inputs[index]
    let extra = rank - term.letters.count
    guard extra == 0 || (extra > 0 && term.hasEllipsis) else {
      throw .shape(
        "Einsum", "input \(index) does not fit '\(text)'",
        expected: "rank \(term.letters.count)\(term.hasEllipsis ? " or more" : "")",
        actual: "rank \(rank)", input: "input \(index)")
    }
    return term.labels(ellipsisCount: extra)
  }
}
