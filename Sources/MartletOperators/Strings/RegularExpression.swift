import MartletCore

/// A regular expression in RE2's syntax, compiled once, asked whether it describes a whole text.
///
/// The text is read once from left to right while a set of places in the program is followed: the
/// time is at most texts' bytes times the program's instructions, whatever the pattern. There is no
/// backtracking and no recursion. Since the question is yes or no, groups capture nothing, and greedy
/// and lazy repetition mean the same.
///
/// Refused, as RE2 refuses them: look-around, backreferences, `\Z`, possessive and stacked
/// repetition, more than 1,000 repetitions (of nested ones, the product), unknown classes. Refused
/// here alone: `\C`, which may stand inside a character. `$` without `m` is the very end of the text.
///
/// Classes of Unicode are those of the Swift standard library; scripts are those of `UnicodeScripts`.
/// Source: https://github.com/google/re2/wiki/Syntax.
package struct RegularExpression: Sendable {
  /// Instructions that a pattern may come to; RE2 allows about as many.
  static let largestProgram = 100_000
  /// Ranges of characters that all classes of a pattern may name together.
  static let mostRanges = 4_000_000

  let program: RegularExpressionProgram

  /// Throws `invalidArgument` for what is no pattern, `unsupported` for one that is too large.
  package init(_ pattern: String) throws(MartletError) {
    var parser = RegularExpressionParser(Array(pattern.utf8))
    program = try parser.parse()
  }
}
