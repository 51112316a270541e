import MartletCore

/// The bytes of a model on their way to a reader.
package struct ModelSource: Sendable {
  /// What the reader may keep views of.
  package let storage: Storage
  /// What errors call it: the path, or "model in memory".
  package let name: String
  /// Where files that belong to it are looked for; nil: it has none.
  package let directory: String?

  /// A file, mapped into memory: it must not be truncated or overwritten in place while in use.
  ///
  /// Throws `notFound` and `io`.
  package init(path: String) throws(MartletError) {
    storage = try MappedFile(path: path).storage
    name = path
    directory = MappedFile.directory(of: path)
  }

  /// Bytes in memory, which errors call `name`: they are copied, or `borrowed` if they outlive all use
  /// unchanged.
  package init(
    bytes: UnsafeRawBufferPointer, borrowed: Bool, name: String = "model in memory"
  ) throws(MartletError) {
    if borrowed, let base = bytes.baseAddress {
      storage = Storage(
        borrowing: UnsafeMutableRawPointer(mutating: base), byteCount: bytes.count,
        isReadOnly: true)
    } else {
      storage = try Storage(byteCount: bytes.count)
      if let base = bytes.baseAddress {
        storage.base.copyMemory(from: base, byteCount: bytes.count)
      }
    }
    self.name = name
    directory = nil
  }

  /// The first bytes, by which a format is recognised.
  package var head: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage.base, count: min(storage.byteCount, 64))
  }
}
