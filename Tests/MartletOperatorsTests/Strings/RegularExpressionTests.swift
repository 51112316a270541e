import MartletCore
import Testing

@testable import MartletOperators

@Suite struct RegularExpressionTests {
  struct Case: CustomTestStringConvertible {
    let pattern: String
    let yes: [String]
    let no: [String]
    var testDescription: String { pattern }

    init(_ pattern: String, _ yes: [String], _ no: [String]) {
      self.pattern = pattern
      self.yes = yes
      self.no = no
    }
  }

  static let literals = [
    Case("", [""], ["a"]),
    Case("abc", ["abc"], ["ab", "abcd", "xabc", "ABC"]),
    Case("é中😀", ["é中😀"], ["é中", "e\u{301}中😀"]),
    Case(#"\.\*\_\{"#, [".*_{"], ["a*_{"]),
    Case(#"\x41\x{1F600}\101\0\012"#, ["A😀A\0\n"], ["A😀A\0"]),
    Case(#"\a\f\t\n\r\v"#, ["\u{7}\u{C}\t\n\r\u{B}"], [""]),
    Case(#"\Qa.b*\Ec"#, ["a.b*c"], ["axbbc"]),
    Case(#"\Q(["#, ["(["], [""]),
    Case(#"ab\Q\E*"#, ["a", "abb"], ["abab"]),
    Case("a{,2}{", ["a{,2}{"], ["a", "aa"]),
    Case("a{02}", ["a{02}"], ["aa"]),
  ]

  static let classes = [
    Case(".", ["a", "é", "😀", "\r"], ["", "\n", "ab"]),
    Case("(?s).", ["\n"], [""]),
    Case("[a-cx]", ["a", "c", "x"], ["d", "", "-"]),
    Case("[^a-c]", ["d", "\n", "é"], ["a", "b"]),
    Case("[]a]", ["]", "a"], ["b"]),
    Case("[^]a]", ["b"], ["]", "a"]),
    Case("[a-]", ["a", "-"], ["b"]),
    Case(#"[\]\-\x{e9}\n]"#, ["]", "-", "é", "\n"], ["a", "\\"]),
    Case("[α-ω]+", ["λογος"], ["Λ", "a"]),
    Case("[[:alpha:][:^digit:]]", ["a", "!"], ["7"]),
    Case("[[:word:]]+[[:punct:]][[:space:]]", ["a_7!\u{B}"], ["a_7!\u{A0}"]),
    Case("[[:xdigit:]]{2}[[:blank:]]", ["fF\t"], ["fg\t"]),
    Case(#"\d\D\w\W\s\S"#, ["7x_- ~"], ["77_- ~", "7x_-\u{B}~"]),
    Case(#"[\d\s]+"#, ["1 2\t3"], ["1,2"]),
    Case(#"[^\D5]"#, ["4"], ["5", "x"]),
    Case(#"\pN\p{Lu}\P{Lu}\p{^Lu}\PL"#, ["½Éée1"], ["aÉéé1", "½ééé1"]),
    Case(#"\p{Greek}+\p{Han}\p{Cyrillic}"#, ["λόγος中Ж"], ["logos中Ж"]),
    Case(#"\p{Any}\pZ\pC"#, ["\u{E000}\u{3000}\0"], ["\u{E000}a\0"]),
  ]

  static let structures = [
    Case("a|b|", ["a", "b", ""], ["ab", "c"]),
    Case("ab|cd", ["ab", "cd"], ["abd", "acd"]),
    Case("(a|b(c|d))e", ["ae", "bce", "bde"], ["be", "ace"]),
    Case("(?:ab)(?P<name>c)(?<other_é1>d)", ["abcd"], ["abc"]),
    Case("a*", ["", "aaa"], ["b", "aab"]),
    Case("a+b?", ["a", "ab", "aab"], ["", "b", "abb"]),
    Case("a*?b+?c??", ["b", "aabbc"], ["aabcc"]),
    Case("(ab){2}", ["abab"], ["ab", "ababab"]),
    Case("(ab|c){2,}", ["abc", "cccc", "ababab"], ["c", "ab", ""]),
    Case("(a|bc){0,2}d", ["d", "ad", "abcd"], ["aaad"]),
    Case("x{1,3}?y{1}z{0}", ["xy", "xxxy"], ["xxxxy", "xyz"]),
    Case("(a*)*", ["", "aaa"], ["b"]),
    Case("(a*)+(|b)*", ["", "aabb"], ["aba"]),
    Case("((a?){3}b){2}", ["bb", "aaabab"], ["aaaabb"]),
    Case("(a{2}){3}", ["aaaaaa"], ["aaaaa", "aaaaaaa"]),
    Case("a(?i)*", ["", "aa"], ["A"]),
    Case("a+(?i)?", ["", "aa"], ["A"]),
    Case("a?(?i)+", ["", "aa"], ["A"]),
    Case("a{2}(?i)*", ["", "aa", "aaaa"], ["a", "aaa"]),
    Case("(.*)=(.*);", ["a=b;", "=;", "=;=;"], ["a=b", "=;\n;"]),
  ]

  static let flagsAndAnchors = [
    Case("(?i)straße", ["STRAßE", "straẞe"], ["strasse"]),
    Case("(?i)k[s-t]σ", ["\u{212A}\u{17F}ς", "KTΣ"], ["kuσ"]),
    Case("(?i)[^k]", ["j"], ["k", "K", "\u{212A}"]),
    Case("(?i)i", ["i", "I"], ["İ", "ı"]),
    Case("a(?i)b(?-i)c", ["abc", "aBc"], ["ABc", "abC"]),
    Case("a(?i:b)c", ["aBc"], ["aBC"]),
    Case("((?i)a|b)c", ["Ac", "Bc"], ["AC"]),
    Case("(?i)(?-i:a)b", ["aB"], ["AB"]),
    Case("(?is-mU:a.)b", ["A\nb"], ["A\nB"]),
    Case("^a$", ["a"], ["a\n", "\na"]),
    Case("(?m)^a$\n^b$", ["a\nb"], ["ab"]),
    Case("(?s).*^b", ["b"], ["a\nb"]),
    Case("(?sm).*^b", ["b", "a\nb"], ["ab"]),
    Case(#"\Aa\z"#, ["a"], ["a\n"]),
    Case(#"a\bb|c\b.d|\be"#, ["c d", "e"], ["ab", "cxd"]),
    Case(#"\ba\B.\b"#, ["ab"], ["a-"]),
    Case(#"a\B\Bb"#, ["ab"], ["a b"]),
    Case(#"é\b.|\bé"#, ["éa"], ["éé", "é"]),
    Case("(?:^)*a($|b)+", ["a", "ab"], ["b"]),
    Case("a^b", [], ["ab", "a^b"]),
  ]

  @Test("describes whole texts", arguments: literals + classes + structures + flagsAndAnchors)
  func describes(_ test: Case) throws {
    var matcher = RegularExpressionMatcher(try RegularExpression(test.pattern))
    let matched = (test.yes + test.no).filter { matcher.matches(Array($0.utf8)) }
    #expect(matched == test.yes)
  }

  @Test(
    "what RE2 refuses is refused with the reason",
    arguments: [
      ("a(", "missing )", "1: ("), ("a)", "unexpected )", "1"), ("*a", "nothing to repeat", "0: *"),
      ("(|+)", "nothing to repeat", "2: +"), ("(?i)*", "nothing to repeat", "4"),
      ("a**", "bad repetition operator", "1: **"), ("a+{2}?", "bad repetition", "1: +{2}?"),
      ("a++", "bad repetition operator", "1: ++"),
      ("a{1001}", "count", "1: {1001}"), ("a{3,2}", "count", "1: {3,2}"),
      ("(a{50}){21}", "more than 1000", "7: {21}"), ("[a", "missing ]", "0: [a"),
      ("[]", "missing ]", "0"), ("[z-a]", "bad range", "1: z-a"),
      ("[[:foo:]]", "unknown class", "1: [:foo:]"), (#"\p{Klingon}"#, "Unicode", "0: \\p{Klingon}"),
      (#"\p{Greek"#, "missing }", "0"), (#"\pQ"#, "unknown class", "0: \\pQ"),
      (#"x\"#, #"trailing \"#, "1"), (#"\Z"#, "bad escape", "0: \\Z"), (#"\é"#, "bad escape", "0"),
      (#"(a)\1"#, "backreferences", "3: \\1"), (#"\8"#, "backreferences", "0"),
      (#"\x{110000}"#, "bad escape", "0"), (#"\xg0"#, "bad escape", "0"), (#"\C"#, "byte", "0"),
      ("(?=a)", "look-around", "0: (?="), ("(?<!a)", "look-around", "0: (?<!"),
      ("(?>a)", "bad flags", "0"), ("(?i-)", "bad flags", "0"), ("(?i", "bad flags", "0"),
      ("(?P<a b>c)", "bad name", "0"), ("(?<>c)", "bad name", "0"), ("(?P=a)", "bad flags", "0"),
    ])
  func refuses(_ pattern: String, _ what: String, _ place: String) throws {
    let error = #expect(throws: MartletError.self) { try RegularExpression(pattern) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.hasPrefix("regular expression: ") ?? false)
    #expect(error?.message.contains(what) ?? false, "\(error?.message ?? "")")
    #expect(error?.message.contains("at byte \(place)") ?? false, "\(error?.message ?? "")")
  }

  @Test(
    "a pattern that would grow too large is refused before it grows",
    arguments: [
      String(repeating: "abcdefghij", count: 20) + "{1}(" + String(repeating: "a", count: 200)
        + "){1000}",
      String(repeating: "(", count: 1_000_000), String(repeating: "x", count: 100_001),
      String(repeating: "((ab){10}){10}", count: 1000),
    ])
  func limits(_ pattern: String) {
    let error = #expect(throws: MartletError.self) { try RegularExpression(pattern) }
    #expect(error?.code == .unsupported, "\(error?.message ?? "")")
  }

  @Test("patterns that nest deeply or repeat in each other take time of texts' length")
  func depths() throws {
    func matches(_ pattern: String, _ text: String) throws -> Bool {
      var matcher = RegularExpressionMatcher(try RegularExpression(pattern))
      return matcher.matches(Array(text.utf8))
    }
    func nested(_ suffix: String, _ depth: Int) -> String {
      String(repeating: "(", count: depth) + "a" + String(repeating: ")" + suffix, count: depth)
    }
    let many = String(repeating: "a", count: 400)
    #expect(try matches(nested("", 30_000), "a"))
    #expect(try matches(nested("*", 10_000), "aaa"))
    #expect(try matches("a" + String(repeating: "(?i)?(?i)+", count: 10_000), "aa"))
    #expect(try matches("(a?){200}a{200}", many))
    #expect(try !matches("(a?){200}a{200}", many + "a"))
    #expect(try !matches("((a+)+)+b", many))
    #expect(try matches("((a{10}){10}){10}", String(repeating: "a", count: 1000)))
  }

  @Test("a byte that is not UTF-8 is read by nothing") func notUTF8() throws {
    for bytes: [UInt8] in [[0xFF], [0xC3], [0xE4, 0xB8], [0xF0, 0x41, 0x41, 0x41], [0x80]] {
      for pattern in [".*", "(?s).*", "[^a]*", #"\PL*"#] {
        var matcher = RegularExpressionMatcher(try RegularExpression(pattern))
        let (matchesBytes, matchesNothing) = (matcher.matches(bytes), matcher.matches([]))
        #expect(!matchesBytes && matchesNothing)
      }
    }
  }
}
