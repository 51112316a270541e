import Glibc
import MartletCore
import MartletPlatform

/// A file mapped into memory, read-only; the mapping lives as long as its storage.
package struct MappedFile {
  package let storage: Storage

  /// Maps a regular file which, its links followed, lies below `directory` (the links of which are
  /// followed too). Throws `invalidModel` where it does not, and what `init(path:)` throws.
  package init(path: String, below directory: String) throws(MartletError) {
    let root = try MappedFile.resolved(directory)
    let target = try MappedFile.resolved(path)
    guard target == root || target.hasPrefix(root.hasSuffix("/") ? root : root + "/") else {
      throw MartletError(
        .invalidModel, "'\(path)' is a link that leaves the model's directory, to '\(target)'",
        expected: "a file below '\(root)'", actual: target)
    }
    try self.init(path: target)
  }

  /// The path without links.
  private static func resolved(_ path: String) throws(MartletError) -> String {
    guard let buffer = realpath(path, nil) else { throw error(path, reason: errno) }
    defer { free(buffer) }
    return String(cString: buffer)
  }

  /// Maps a regular file; throws `io` naming the path and the reason.
  package init(path: String) throws(MartletError) {
    var status = stat()
    // Asked before opening: opening a named pipe would wait for its writer.
    guard stat(path, &status) == 0 else { throw MappedFile.error(path, reason: errno) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR:
      throw MartletError(
        .io, "cannot read '\(path)': it is a directory", expected: "a file", actual: "a directory")
    default:
      throw MartletError(.io, "cannot read '\(path)': it is not a regular file")
    }
    let descriptor = mp_open_read(path)
    guard descriptor >= 0 else { throw MappedFile.error(path, reason: -descriptor) }
    defer { close(descriptor) }
    guard fstat(descriptor, &status) == 0 else { throw MappedFile.error(path, reason: errno) }
    let size = Int(status.st_size)
    guard size > 0 else {
      throw MartletError(
        .invalidModel, "'\(path)' is empty", expected: "a model file", actual: "0 bytes")
    }
    guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
    else { throw MappedFile.error(path, reason: errno) }
    let address = UInt(bitPattern: base)
    storage = Storage(borrowing: base, byteCount: size, isReadOnly: true, isMappedFile: true) {
      munmap(UnsafeMutableRawPointer(bitPattern: address), size)
    }
  }

  /// The directory part of `path`: "." when it has none.
  package static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func error(_ path: String, reason: Int32) -> MartletError {
    let codes: [Int32: MartletError.Code] = [ENOENT: .notFound, ENOMEM: .outOfMemory]
    return MartletError(
      codes[reason] ?? .io,
      "cannot read '\(path)': \(String(cString: strerror(reason)))",
      actual: path)
  }
}
