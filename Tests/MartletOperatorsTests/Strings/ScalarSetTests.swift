import Testing

@testable import MartletOperators

@Suite struct ScalarSetTests {
  @Test("ranges in any order are merged, inverted and asked") func ranges() {
    let set = ScalarSet([0x70...0x7A, 0x41...0x50, 0x51...0x60, 0x45...0x48, 0x3B1...0x3C9])
    #expect(set.ranges.map(\.first) == [0x41, 0x70, 0x3B1])
    #expect(set.ranges.map(\.last) == [0x60, 0x7A, 0x3C9])
    let inverse = set.inverted()
    #expect(inverse.inverted().ranges == set.ranges)
    let probes: [UInt32] = [0, 0x40, 0x41, 0x60, 0x61, 0x70, 0x7F, 0x80, 0x3B1, 0x3CA, 0x10FFFF]
    for scalar in probes {
      #expect(set.contains(scalar) != inverse.contains(scalar))
    }
    #expect(!set.contains(.max) && !inverse.contains(.max))
    #expect(ScalarSet.any.inverted().ranges.isEmpty)
    #expect(ScalarSet().inverted().ranges == ScalarSet.any.ranges)
  }

  @Test("many insertions do not pile up") func pile() {
    var set = ScalarSet()
    for _ in 0..<100 { for scalar: UInt32 in 0..<1000 { set.insert(2 * scalar, 2 * scalar) } }
    #expect(set.ranges.count < 10_000 && set.insertions == 100_000)
    set.sort()
    #expect(set.ranges.count == 1000)
  }

  @Test("all cases of a letter are found from each of them") func cases() {
    for orbit: Set<UInt32> in [
      [0x4B, 0x6B, 0x212A], [0x53, 0x73, 0x17F], [0x3A3, 0x3C3, 0x3C2], [0xDF, 0x1E9E],
      [0x1C4, 0x1C5, 0x1C6], [0x345, 0x399, 0x3B9, 0x1FBE], [0x13A0, 0xAB70], [0x10400, 0x10428],
      [0x390, 0x1FD3],
    ] {
      for letter in orbit { #expect(Set(CaseFolding.cases(letter)) == orbit) }
    }
    #expect(CaseFolding.cases(0x131).isEmpty && CaseFolding.cases(0x4E2D).isEmpty)
    #expect(Array(CaseFolding.letters(0x59, 0x62)) == [0x59, 0x5A, 0x61, 0x62])
  }

  @Test("scripts and categories have the characters that Unicode gives them") func classes() {
    #expect(UnicodeScripts.ranges(of: "Greek")?.first == 0x370...0x373)
    #expect(UnicodeScripts.ranges(of: "Thai") == [0xE01...0xE3A, 0xE40...0xE5B])
    #expect(UnicodeScripts.ranges(of: "greek") == nil)
    #expect(UnicodeClasses.set(named: "Zs")?.contains(0x3000) == true)
    #expect(UnicodeClasses.set(named: "C")?.contains(0x10FFFD) == true)
    #expect(UnicodeClasses.set(named: "Q") == nil && UnicodeClasses.set(named: "") == nil)
    #expect(UnicodeClasses.set(named: "Cn") == nil)
  }
}
