import Glibc
import MartletCore

/// C strings that last as long as the process, one copy of each.
///
/// Only for names from closed sets (dtypes, modes, operators, kernels), so that it cannot grow.
enum InternedStrings {
  /// @unchecked Sendable: the pointees are written before they are published and then only read.
  private struct Entry: @unchecked Sendable {
    let pointer: UnsafePointer<CChar>
  }

  private static let entries = Lock<[String: Entry]>([:])

  /// The copy of `text`, which is made in the library's floating-point environment: so is a table of
  /// strings, whose size is a quotient.
  static func pointer(_ text: @autoclosure () -> String) -> UnsafePointer<CChar> {
    infallible { pointer(of: text()) }
  }

  private static func pointer(of text: String) -> UnsafePointer<CChar> {
    entries.withLock { entries in
      if let entry = entries[text] { return entry }
      let count = text.utf8.count
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: count + 1)
      for (index, byte) in text.utf8.enumerated() { copy[index] = CChar(bitPattern: byte) }
      copy[count] = 0
      let entry = Entry(pointer: UnsafePointer(copy))
      entries[text] = entry
      return entry
    }.pointer
  }
}
