/// Which letters are one but for their case: Unicode's simple case folding, from the mappings to upper
/// and lower case that the standard library knows.
enum CaseFolding {
  /// The letters of the range that have other cases.
  static func letters(_ first: UInt32, _ last: UInt32) -> ArraySlice<UInt32> {
    let letters = table.letters
    return letters[lowerBound(letters, first)..<lowerBound(letters, last &+ 1)]
  }

  /// All cases of a letter of `letters`, itself among them; of others, none.
  static func cases(_ letter: UInt32) -> [UInt32] {
    let place = lowerBound(table.letters, letter)
    guard place < table.letters.count, table.letters[place] == letter else { return [] }
    return table.orbits[table.orbitOf[place]]
  }

  private struct Table: Sendable {
    /// In order.
    var letters: [UInt32] = []
    /// For each of the letters, its place in `orbits`.
    var orbitOf: [Int] = []
    var orbits: [[UInt32]] = []
  }

  private static let table = makeTable()

  /// Everything with a case stands in these blocks.
  private static let blocks: [ClosedRange<UInt32>] = [
    0x41...0x587, 0x10A0...0x10FF, 0x13A0...0x13FF, 0x1C80...0x1CBF, 0x1D00...0x1FFF,
    0x2100...0x218F, 0x24B6...0x24E9, 0x2C00...0x2D2F, 0xA640...0xA7FF, 0xAB30...0xABBF,
    0xFB00...0xFB06, 0xFF21...0xFF5A, 0x10400...0x105FF, 0x10C80...0x10DFF, 0x118A0...0x118DF,
    0x16E40...0x16EFF, 0x1E900...0x1E943,
  ]

  private static func makeTable() -> Table {
    var orbitOf: [UInt32: Int] = [:]
    var orbits: [[UInt32]] = []
    for block in blocks {
      for value in block {
        guard let scalar = Unicode.Scalar(value) else { continue }
        let folded = fold(scalar)
        if let orbit = orbitOf[folded] {
          orbits[orbit].append(value)
        } else {
          orbitOf[folded] = orbits.count
          orbits.append([value])
        }
      }
    }
    orbits.removeAll { $0.count < 2 }
    var table = Table(orbits: orbits)
    let places = orbits.enumerated().flatMap { orbit, letters in letters.map { ($0, orbit) } }
    for (letter, orbit) in places.sorted(by: { $0.0 < $1.0 }) {
      table.letters.append(letter)
      table.orbitOf.append(orbit)
    }
    return table
  }

  /// One letter for all cases of `scalar`. Turkish letters without and with a dot stand alone.
  private static func fold(_ scalar: Unicode.Scalar) -> UInt32 {
    switch scalar.value {
    case 0x130, 0x131: return scalar.value
    // These pairs have mappings of several letters, which say nothing here.
    case 0x1FD3: return 0x390
    case 0x1FE3: return 0x3B0
    case 0xFB05: return 0xFB06
    default: break
    }
    let upper = single(scalar.properties.uppercaseMapping) ?? scalar
    return (single(upper.properties.lowercaseMapping) ?? upper).value
  }

  private static func single(_ mapping: String) -> Unicode.Scalar? {
    let scalars = mapping.unicodeScalars
    return scalars.count == 1 ? scalars.first : nil
  }

  private static func lowerBound(_ letters: [UInt32], _ value: UInt32) -> Int {
    var low = 0
    var high = letters.count
    while low < high {
      let middle = (low + high) / 2
      if letters[middle] < value { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
