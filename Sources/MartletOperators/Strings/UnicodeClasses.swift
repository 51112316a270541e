/// The classes that `\p{…}` names: general categories and scripts.
enum UnicodeClasses {
  /// The characters of the class; nil where there is none of that name.
  static func set(named name: String) -> ScalarSet? {
    if name == "Any" { return .any }
    if let ranges = UnicodeScripts.ranges(of: name) {
      var set = ScalarSet()
      for range in ranges { set.insert(range.lowerBound, range.upperBound) }
      return set
    }
    guard name == "C" || abbreviations.contains(where: { $0 == name || $0.prefix(1) == name })
    else { return nil }
    var set = ScalarSet()
    for run in runs where run.category == name || run.category.prefix(1) == name {
      set.insert(run.first, run.last)
    }
    return set
  }

  private struct Run: Sendable {
    let first: UInt32
    var last: UInt32
    let category: String
  }

  /// All categories of characters that are assigned, as RE2 has them.
  private static let abbreviations = [
    "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs",
  ]

  private static let runs = makeRuns()

  /// Planes 4 to 13 hold nothing; surrogates and private use are known without asking.
  private static func makeRuns() -> [Run] {
    var runs: [Run] = []
    for block: ClosedRange<UInt32> in [0...0xD7FF, 0xE000...0x3FFFF, 0xE0000...0xE0FFF] {
      for value in block {
        guard let scalar = Unicode.Scalar(value),
          let category = abbreviation(scalar.properties.generalCategory)
        else { continue }
        if let last = runs.last, last.last + 1 == value, last.category == category {
          runs[runs.count - 1].last = value
        } else {
          runs.append(Run(first: value, last: value, category: category))
        }
      }
    }
    runs.append(Run(first: 0xD800, last: 0xDFFF, category: "Cs"))
    runs.append(Run(first: 0xF0000, last: 0xFFFFD, category: "Co"))
    runs.append(Run(first: 0x100000, last: 0x10FFFD, category: "Co"))
    return runs
  }

  private static func abbreviation(_ category: Unicode.GeneralCategory) -> String? {
    switch category {
    case .uppercaseLetter: "Lu"
    case .lowercaseLetter: "Ll"
    case .titlecaseLetter: "Lt"
    case .modifierLetter: "Lm"
    case .otherLetter: "Lo"
    case .nonspacingMark: "Mn"
    case .spacingMark: "Mc"
    case .enclosingMark: "Me"
    case .decimalNumber: "Nd"
    case .letterNumber: "Nl"
    case .otherNumber: "No"
    case .connectorPunctuation: "Pc"
    case .dashPunctuation: "Pd"
    case .openPunctuation: "Ps"
    case .closePunctuation: "Pe"
    case .initialPunctuation: "Pi"
    case .finalPunctuation: "Pf"
    case .otherPunctuation: "Po"
    case .mathSymbol: "Sm"
    case .currencySymbol: "Sc"
    case .modifierSymbol: "Sk"
    case .otherSymbol: "So"
    case .spaceSeparator: "Zs"
    case .lineSeparator: "Zl"
    case .paragraphSeparator: "Zp"
    case .control: "Cc"
    case .format: "Cf"
    case .surrogate: "Cs"
    case .privateUse: "Co"
    case .unassigned: nil
    @unknown default: nil
    }
  }
}
