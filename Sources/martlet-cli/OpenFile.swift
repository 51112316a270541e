import Glibc
import MartletCore
import MartletPlatform

/// A file descriptor that closes itself, and errors that name the path.
///
/// A file that is written has its name only when it is whole: it is written without one, or where the
/// file system has no such files beside its place, and takes it in `close()`. One that is never closed
/// leaves nothing behind.
final class OpenFile {
  private var descriptor: Int32
  /// What errors call it.
  let name: String
  private var place = Place.itsOwn
  private(set) var position = 0
  /// Bytes in the file when it was opened.
  let byteCount: Int
  /// What came through a pipe.
  private let stream: Storage?

  /// Where a file is while it is written.
  private enum Place {
    /// It is written where it stays.
    case itsOwn
    /// It has no name, and takes this one.
    case nowhere(to: String)
    /// It has a name beside the one that it takes.
    case beside(from: String, to: String)
  }

  /// The path that stands for standard input, or standard output.
  static let standard = "-"

  // MARK: - Reading

  /// Opens a file; what comes through a pipe, standard input (`-`) too, is read to its end.
  ///
  /// Throws `notFound` when there is no such file, `io` when it is a directory or unreadable, and
  /// `outOfMemory`.
  init(reading path: String) throws(MartletError) {
    let isStandard = path == OpenFile.standard
    name = isStandard ? "standard input" : path
    descriptor = isStandard ? dup(STDIN_FILENO) : mp_open_read(path)
    guard descriptor >= 0 else {
      let reason = isStandard ? errno : -descriptor
      throw MartletError(
        reason == ENOENT ? .notFound : .io, "cannot read \(name): \(OpenFile.reason(reason))")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
      Glibc.close(descriptor)
      throw MartletError(.io, "cannot read \(name): it is a directory")
    }
    guard status.st_mode & S_IFMT == S_IFREG, !isStandard else {
      let pipe = descriptor
      defer { Glibc.close(pipe) }
      let (storage, count) = try OpenFile.readAll(pipe, name)
      (stream, byteCount, descriptor) = (storage, count, -1)
      return
    }
    (stream, byteCount) = (nil, Int(status.st_size))
  }

  /// What is in memory already, read as a file of this name is.
  init(contents: Storage, name: String) {
    (self.name, descriptor, stream, byteCount) = (name, -1, contents, contents.byteCount)
  }

  /// The first bytes, at most `count`, which stay to be read. Throws `io`.
  func head(_ count: Int) throws(MartletError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: min(count, byteCount))
    if let stream {
      return Array(UnsafeRawBufferPointer(start: stream.base, count: bytes.count))
    }
    let got = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    guard got == bytes.count else {
      throw got < 0
        ? MartletError(.io, "cannot read \(name): \(OpenFile.reason(errno))")
        : truncated("its first bytes")
    }
    return bytes
  }

  private static func readAll(_ descriptor: Int32, _ name: String) throws(MartletError) -> (
    Storage, count: Int
  ) {
    var storage = try Storage(byteCount: 1 << 16)
    var count = 0
    while true {
      if count == storage.byteCount {
        let (size, overflow) = count.multipliedReportingOverflow(by: 2)
        // Twice that for the copy: a stream without an end is not to take the whole machine.
        guard !overflow, Storage.fits(byteCount: size &* 2) else {
          throw MartletError(.outOfMemory, "\(name) gives more than \(count) bytes")
        }
        let larger = try Storage(byteCount: size)
        larger.base.copyMemory(from: storage.base, byteCount: count)
        storage = larger
      }
      let got = Glibc.read(descriptor, storage.base + count, storage.byteCount - count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else {
        throw MartletError(.io, "cannot read \(name): \(reason(errno))")
      }
      if got == 0 { return (storage, count) }
      count += got
    }
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
    guard let base = buffer.baseAddress else { return }
    if let stream {
      guard buffer.count <= byteCount - position else { throw truncated(what) }
      base.copyMemory(from: stream.base + position, byteCount: buffer.count)
      position += buffer.count
      return
    }
    var done = 0
    while done < buffer.count {
      let count = Glibc.read(descriptor, base + done, buffer.count - done)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw MartletError(.io, "cannot read \(name): \(OpenFile.reason(errno))")
      }
      guard count > 0 else { throw truncated(what) }
      done += count
    }
    position += done
  }

  /// All bytes that were not read yet. Throws `outOfMemory`, and what reading throws.
  func rest() throws(MartletError) -> Storage {
    let count = byteCount - position
    if let stream, position == 0 {
      return Storage(borrowing: stream.base, byteCount: count, isReadOnly: true) { _ = stream }
    }
    let storage = try Storage(byteCount: count)
    try read(
      into: UnsafeMutableRawBufferPointer(start: storage.base, count: count), what: "its contents")
    return storage
  }

  private func truncated(_ what: String) -> MartletError {
    MartletError(.invalidModel, "\(name) ends within \(what)")
  }

  // MARK: - Writing

  /// Creates the file, or replaces the one that has the name. A symbolic link stays one; what is no
  /// regular file (a pipe, a device, standard output, which is `-`) is written as it is.
  init(writing path: String) throws(MartletError) {
    let isStandard = path == OpenFile.standard
    name = isStandard ? "standard output" : path
    (stream, byteCount) = (nil, 0)
    var status = stat()
    let exists = !isStandard && stat(path, &status) == 0
    let leadsNowhere = !exists && lstat(path, &status) == 0
    let isOthers = exists && status.st_uid != geteuid()  // a sticky folder would refuse the move
    if isStandard {
      descriptor = dup(STDOUT_FILENO)
      if descriptor < 0 { descriptor = -errno }
    } else if leadsNowhere || isOthers || exists && status.st_mode & S_IFMT != S_IFREG {
      descriptor = mp_open_write(path)
    } else if exists, access(path, W_OK) != 0 {
      descriptor = -errno  // a file that is not to be written is not to be replaced
    } else {
      let target = exists ? OpenFile.resolved(path) : path
      (descriptor, place) = OpenFile.openNew(for: target)
      if descriptor >= 0 {
        if exists { fchmod(descriptor, status.st_mode & 0o777) }
      } else if descriptor == -EACCES, exists {
        descriptor = mp_open_write(path)  // nothing may be added to the folder
      }
    }
    guard descriptor >= 0 else {
      throw MartletError(.io, "cannot write \(name): \(OpenFile.reason(-descriptor))")
    }
  }

  deinit {
    if descriptor >= 0 { Glibc.close(descriptor) }
    if case .beside(let from, _) = place { unlink(from) }
  }

  /// A new file that is to be `target`.
  private static func openNew(for target: String) -> (descriptor: Int32, Place) {
    let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? "."
    // Without /proc it could not be given a name.
    if access("/proc/self/fd", X_OK) == 0 {
      let descriptor = mp_open_unnamed(folder)
      if descriptor >= 0 { return (descriptor, .nowhere(to: target)) }
    }
    let beside = unusedName(beside: target)
    let descriptor = mp_open_new(beside)
    return (descriptor, descriptor < 0 ? .itsOwn : .beside(from: beside, to: target))
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
      guard count > 0 else { throw writeError() }
      done += count
    }
    position += done
  }

  /// Closes the file, which takes its place; a full disk may only show itself here.
  func close() throws(MartletError) {
    if case .nowhere(let target) = place {
      let beside = OpenFile.unusedName(beside: target)
      guard
        linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, beside, AT_SYMLINK_FOLLOW) == 0
      else { throw writeError() }
      place = .beside(from: beside, to: target)
    }
    let result = Glibc.close(descriptor)
    descriptor = -1
    guard result == 0 else { throw writeError() }
    if case .beside(let from, let target) = place {
      guard rename(from, target) == 0 else { throw writeError() }
      place = .itsOwn
    }
  }

  private func writeError() -> MartletError {
    MartletError(.io, "cannot write \(name): \(OpenFile.reason(errno))")
  }

  static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
