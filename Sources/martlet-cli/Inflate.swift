import MartletCore

/// Decompresses DEFLATE into memory of a known size.
///
/// Source: RFC 1951.
struct Inflate {
  private let input: UnsafeRawBufferPointer
  private var position = 0
  private var bits: UInt32 = 0
  private var bitCount = 0

  /// Fills `output`; throws `invalidModel` for what is malformed, or longer or shorter.
  static func decompress(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(MartletError) {
    var inflate = Inflate(input: input)
    var filled = 0
    var isLast = false
    while !isLast {
      isLast = try inflate.take(1) == 1
      switch try inflate.take(2) {
      case 0: try inflate.stored(into: output, &filled)
      case 1: try inflate.block(fixedLengths, fixedDistances, into: output, &filled)
      case 2:
        let (lengths, distances) = try inflate.codes()
        try inflate.block(lengths, distances, into: output, &filled)
      default: throw malformed("a block of no known kind")
      }
    }
    guard filled == output.count else {
      throw malformed("\(filled) bytes where \(output.count) are announced")
    }
  }

  private init(input: UnsafeRawBufferPointer) { self.input = input }

  static func malformed(_ what: String) -> MartletError {
    MartletError(.invalidModel, "malformed compressed data: \(what)")
  }

  /// The next bits, the first of them the lowest.
  private mutating func take(_ count: Int) throws(MartletError) -> Int {
    while bitCount < count {
      guard position < input.count else { throw Inflate.malformed("it ends early") }
      bits |= UInt32(input[position]) << UInt32(bitCount)
      position += 1
      bitCount += 8
    }
    let value = bits & ((1 << UInt32(count)) - 1)
    bits >>= UInt32(count)
    bitCount -= count
    return Int(value)
  }

  private mutating func stored(
    into output: UnsafeMutableRawBufferPointer, _ filled: inout Int
  ) throws(MartletError) {
    (bits, bitCount) = (0, 0)
    let length = try take(16)
    guard try take(16) == length ^ 0xFFFF else { throw Inflate.malformed("a length") }
    guard length <= input.count - position, length <= output.count - filled else {
      throw Inflate.malformed("a block is too long")
    }
    for _ in 0..<length {
      output[filled] = input[position]
      filled += 1
      position += 1
    }
  }

  private mutating func block(
    _ lengths: Code, _ distances: Code, into output: UnsafeMutableRawBufferPointer,
    _ filled: inout Int
  ) throws(MartletError) {
    while true {
      let symbol = try next(lengths)
      if symbol == 256 { return }
      if symbol < 256 {
        guard filled < output.count else { throw Inflate.malformed("it is too long") }
        output[filled] = UInt8(symbol)
        filled += 1
        continue
      }
      let row = symbol - 257
      guard row < Inflate.lengthBases.count else { throw Inflate.malformed("a length") }
      let length = Inflate.lengthBases[row] + (try take(Inflate.lengthBits[row]))
      let far = try next(distances)
      guard far < Inflate.distanceBases.count else { throw Inflate.malformed("a distance") }
      let distance = Inflate.distanceBases[far] + (try take(Inflate.distanceBits[far]))
      guard distance <= filled, length <= output.count - filled else {
        throw Inflate.malformed("it refers to bytes outside")
      }
      for _ in 0..<length {
        output[filled] = output[filled - distance]
        filled += 1
      }
    }
  }

  // MARK: - Huffman codes

  /// A canonical code: how many codes there are of each length, and the symbols in order of their codes.
  private struct Code {
    var counts = [Int](repeating: 0, count: 16)
    var symbols: [Int]

    init(_ lengths: [Int]) {
      symbols = [Int](repeating: 0, count: lengths.count)
      for length in lengths { counts[length] += 1 }
      counts[0] = 0
      var offsets = [Int](repeating: 0, count: 17)
      for length in 1...15 { offsets[length + 1] = offsets[length] + counts[length] }
      for (symbol, length) in lengths.enumerated() where length > 0 {
        symbols[offsets[length]] = symbol
        offsets[length] += 1
      }
    }
  }

  private mutating func next(_ code: Code) throws(MartletError) -> Int {
    var (value, first, index) = (0, 0, 0)
    for length in 1...15 {
      value |= try take(1)
      let count = code.counts[length]
      if value - first < count { return code.symbols[index + value - first] }
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw Inflate.malformed("a code that stands for nothing")
  }

  private mutating func codes() throws(MartletError) -> (Code, Code) {
    let lengthCount = try take(5) + 257
    let distanceCount = try take(5) + 1
    let metaCount = try take(4) + 4
    var meta = [Int](repeating: 0, count: 19)
    for index in 0..<metaCount { meta[Inflate.metaOrder[index]] = try take(3) }
    let metaCode = Code(meta)
    var lengths: [Int] = []
    while lengths.count < lengthCount + distanceCount {
      let symbol = try next(metaCode)
      switch symbol {
      case ..<16: lengths.append(symbol)
      case 16:
        guard let last = lengths.last else { throw Inflate.malformed("a repetition of nothing") }
        lengths += [Int](repeating: last, count: try take(2) + 3)
      case 17: lengths += [Int](repeating: 0, count: try take(3) + 3)
      default: lengths += [Int](repeating: 0, count: try take(7) + 11)
      }
    }
    guard lengths.count == lengthCount + distanceCount else {
      throw Inflate.malformed("too many codes")
    }
    return (Code(Array(lengths[..<lengthCount])), Code(Array(lengths[lengthCount...])))
  }

  private static let metaOrder = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
  ]
  private static let lengthBases = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
  ]
  private static let lengthBits = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let distanceBases = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
  ]
  private static let distanceBits = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
  ]
  private static let fixedLengths = Code(
    (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
  private static let fixedDistances = Code([Int](repeating: 5, count: 30))
}
