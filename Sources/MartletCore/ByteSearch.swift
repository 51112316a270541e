/// Finds bytes in bytes in time of the text's length (Knuth, Morris and Pratt).
package struct ByteSearch: Sendable {
  package let needle: [UInt8]
  /// For each prefix of the needle, how long its longest proper prefix is that it also ends with.
  private let borders: [Int]

  /// `needle` has at least one byte.
  package init(_ needle: [UInt8]) {
    self.needle = needle
    var borders = [Int](repeating: 0, count: needle.count)
    var length = 0
    for index in needle.indices.dropFirst() {
      while length > 0, needle[index] != needle[length] { length = borders[length - 1] }
      if needle[index] == needle[length] { length += 1 }
      borders[index] = length
    }
    self.borders = borders
  }

  /// Where the needle first stands in `text` at or after `start`.
  package func first(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    var length = 0
    for index in start..<text.count {
      while length > 0, text[index] != needle[length] { length = borders[length - 1] }
      if text[index] == needle[length] { length += 1 }
      if length == needle.count { return index + 1 - length }
    }
    return nil
  }
}
