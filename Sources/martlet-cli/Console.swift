import ArgumentParser
import Glibc
import MartletCore
import MartletGraph
import MartletPlatform
import MartletRuntime

/// Standard output and error, and the way from errors to exit codes.
enum Console {
  /// Writes a line to standard error.
  static func complain(_ line: String) {
    write("\(line)\n")
  }

  /// Writes text to standard error as it is; a closed standard error is nobody's loss.
  static func write(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count <= 0 { return }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Writes a result to standard output. Throws `io` when not all of it arrives: a result that is lost
  /// on a full disk must not look like success.
  static func output(_ text: String, terminator: String = "\n") throws(MartletError) {
    var bytes = Array((text + terminator).utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw MartletError(.io, "cannot write to standard output: \(OpenFile.reason(errno))")
      }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Runs `body`; an error of Martlet goes to standard error whole, and its exit code is thrown.
  static func reporting(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as MartletError {
      complain("martlet: \(error)")
      throw ExitCode(exitCode(of: error))
    }
  }

  private static func exitCode(of error: MartletError) -> Int32 {
    switch error.code {
    // A name that the model does not have is wrong usage; otherwise a file was not found.
    case .notFound where error.input != nil: 64
    case .invalidArgument, .invalidShape, .invalidDType: 64
    case .invalidModel: 65
    case .notFound: 66
    case .unsupported: 69
    case .internalError, .invalidHandle, .invalidState: 70
    case .outOfMemory: 71
    case .io: 74
    case .cancelled, .limitExceeded: 1
    }
  }
}

/// Tells on standard error how far something has come, once it has taken longer than a second.
final class ProgressLine {
  private let started = mp_now_ns()
  private var lastShown: Int64 = 0
  private var isShown = false
  private let what: String
  private let isTerminal = isatty(STDERR_FILENO) == 1

  init(_ what: String) {
    self.what = what
    lastShown = started
  }

  deinit {
    if isShown && isTerminal { Console.write("\r\u{1B}[K") }
  }

  /// Shows a state, at most once a second.
  func show(_ state: @autoclosure () -> String) {
    let now = mp_now_ns()
    guard now - lastShown >= 1_000_000_000 else { return }
    lastShown = now
    isShown = true
    Console.write(isTerminal ? "\r\u{1B}[K\(what): \(state())" : "\(what): \(state())\n")
  }
}

extension Model {
  /// Loads the model at `path`, with its progress on standard error.
  static func loadShowingProgress(_ path: String, options: Options = Options()) throws(MartletError)
    -> Model
  {
    let line = ProgressLine("loading \(path)")
    return try load(path: path, options: options) { progress in
      line.show("\(progress.stage) \(progress.completed)/\(max(progress.total, 1))")
      return true
    }
  }
}

/// Options of every command that computes.
struct EngineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Float32 fast-math mode: FP32, BF16, TF32, F16 or ANY.",
      discussion: "By default that of MARTLET_FLOAT32_FAST_MATH_MODE, else FP32."))
  var mode: String?

  @Option(help: "Threads at most; by default the processors that the system leaves to us.")
  var threads: Int?

  /// Applies the threads and returns the mode, if one was given.
  func apply() throws(MartletError) -> MathMode? {
    if let threads { try ThreadPool.shared.setThreadCount(threads) }
    guard let mode else { return nil }
    do throws(MartletError) {
      return try MathMode(name: mode)
    } catch {
      var error = error
      error.code = .invalidArgument  // a wrong option, not a missing file
      throw error
    }
  }
}
