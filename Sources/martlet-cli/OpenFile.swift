import Glibc
import MartletCore
import MartletPlatform

/// A file descriptor that closes itself, and errors that name the path.
///
/// A file that is written has its name only when it is whole: it is written beside its place, and
/// takes it in `close()`. One that is never closed leaves nothing behind, unless a signal ends the process.
final class OpenFile {
  private var descriptor: Int32
  private let path: String
  /// Where it is written, and the place that it takes; nil where it is written in place.
  private var move: (from: String, to: String)?
  private(set) var position = 0
  /// Size of the file when it was opened.
  let byteCount: Int

  /// Throws `notFound` when there is no such file and `io` when it is a directory or unreadable.
  init(reading path: String) throws(MartletError) {
    descriptor = mp_open_read(path)
    self.path = path
    guard descriptor >= 0 else {
      let missing = descriptor == -ENOENT
      throw MartletError(
        missing ? .notFound : .io, "cannot open \(path): \(OpenFile.reason(-descriptor))")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      Glibc.close(descriptor)
      throw MartletError(.io, "cannot read \(path): not a regular file")
    }
    byteCount = Int(status.st_size)
  }

  /// Creates the file, or replaces the one that has the name. A symbolic link stays one; what is no
  /// regular file (a pipe, a device) is written as it is.
  init(writing path: String) throws(MartletError) {
    self.path = path
    byteCount = 0
    var status = stat()
    let exists = stat(path, &status) == 0
    let leadsNowhere = !exists && lstat(path, &status) == 0
    let isOthers = exists && status.st_uid != geteuid()  // a sticky folder would refuse the move
    if leadsNowhere || isOthers || exists && status.st_mode & S_IFMT != S_IFREG {
      descriptor = mp_open_write(path)
    } else if exists, access(path, W_OK) != 0 {
      descriptor = -errno  // a file that is not to be written is not to be replaced
    } else {
      let target = exists ? OpenFile.resolved(path) : path
      let beside = OpenFile.unusedName(beside: target)
      descriptor = mp_open_new(beside)
      if descriptor >= 0 {
        move = (beside, target)
        if exists { fchmod(descriptor, status.st_mode & 0o777) }
      } else if descriptor == -EACCES, exists {
        descriptor = mp_open_write(path)  // nothing may be added to the folder
      }
    }
    guard descriptor >= 0 else {
      throw MartletError(.io, "cannot write \(path): \(OpenFile.reason(-descriptor))")
    }
  }

  deinit {
    if descriptor >= 0 { Glibc.close(descriptor) }
    if let move { unlink(move.from) }
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  /// A short name, which fits wherever the path's own does.
  private static func unusedName(beside path: String) -> String {
    let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
    return "\(folder).martlet-\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
  }

  func read(count: Int, what: String) throws(MartletError) -> [UInt8] {
    guard count <= byteCount - position else { throw truncated(what) }
    var bytes = [UInt8](repeating: 0, count: count)
    var failure: MartletError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(MartletError) { try read(into: buffer, what: what) } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, what: String) throws(MartletError) {
    var done = 0
    while done < buffer.count, let base = buffer.baseAddress {
      let count = Glibc.read(descriptor, base + done, buffer.count - done)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw MartletError(.io, "cannot read \(path): \(OpenFile.reason(errno))")
      }
      guard count > 0 else { throw truncated(what) }
      done += count
    }
    position += done
  }

  func write(_ bytes: [UInt8]) throws(MartletError) {
    var failure: MartletError?
    bytes.withUnsafeBytes { buffer in
      do throws(MartletError) { try write(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  func write(_ buffer: UnsafeRawBufferPointer) throws(MartletError) {
    var done = 0
    while done < buffer.count, let base = buffer.baseAddress {
      let count = Glibc.write(descriptor, base + done, buffer.count - done)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw MartletError(.io, "cannot write \(path): \(OpenFile.reason(errno))")
      }
      done += count
    }
  }

  /// Closes the file, which takes its place; a full disk may only show itself here.
  func close() throws(MartletError) {
    let result = Glibc.close(descriptor)
    descriptor = -1
    guard result == 0, move.map({ rename($0.from, $0.to) == 0 }) ?? true else {
      throw MartletError(.io, "cannot write \(path): \(OpenFile.reason(errno))")
    }
    move = nil
  }

  static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

  private func truncated(_ what: String) -> MartletError {
    MartletError(.invalidModel, "\(path) ends within \(what)")
  }
}
