import Glibc
import MartletCore
import MartletGraph
import MartletImport
import MartletRuntime

/// A model where the command finds it: a file, or what comes through a pipe, which can be read once.
struct ModelFile {
  /// What messages call it.
  let name: String
  private let path: String
  /// nil: a file, which is mapped.
  private let stream: Storage?

  /// Reads what comes through a pipe, or standard input (`-`). Throws `io` and `outOfMemory`.
  init(_ path: String) throws(MartletError) {
    self.path = path
    var status = stat()
    let isPipe =
      stat(path, &status) == 0 && ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT)
    guard path == OpenFile.standard || isPipe else {
      (name, stream) = (path, nil)
      return
    }
    let file = try OpenFile(reading: path)
    guard file.byteCount > 0 else {
      throw MartletError(
        .invalidModel, "\(file.name) is empty", expected: "a model", actual: "0 bytes")
    }
    (name, stream) = (file.name, try file.rest())
  }

  /// Loads the model, with its progress on standard error.
  func load(_ options: Model.Options = Model.Options()) throws(MartletError) -> Model {
    let line = ProgressLine("loading \(name)")
    let progress: ProgressCallback = { progress in
      line.show("\(progress.stage) \(progress.completed)/\(max(progress.total, 1))")
      return true
    }
    guard let stream else {
      return try Model.load(path: path, options: options, progress: progress)
    }
    return try Model.load(bytes: bytes(stream), name: name, options: options, progress: progress)
  }

  /// What is in it, whether or not it can be run.
  func survey() throws(MartletError) -> ModelSurvey {
    guard let stream else { return try Model.survey(path: path) }
    return try Model.survey(bytes: bytes(stream))
  }

  private func bytes(_ stream: Storage) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: stream.base, count: stream.byteCount)
  }

  /// Throws `invalidArgument` where more than one of these arguments is standard input.
  static func checkStandardInput(_ arguments: [String]) throws(MartletError) {
    let readers = arguments.filter { $0 == OpenFile.standard || $0.hasSuffix("=-") }
    guard readers.count > 1 else { return }
    throw MartletError(
      .invalidArgument, "standard input is asked for \(readers.count) times; it can be read once",
      expected: "one -", actual: "\(readers.count)")
  }
}
