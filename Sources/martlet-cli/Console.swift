import ArgumentParser
import Glibc
import MartletCore
import MartletPlatform

/// Standard output and error, and the way from errors to exit codes.
enum Console {
  /// Writes a line to standard error: what went wrong.
  static func complain(_ line: String) {
    write("\(Style.failure.on(STDERR_FILENO, "martlet:")) \(line)\n")
  }

  /// Writes a line to standard error: what is done all the same.
  static func warn(_ line: String) {
    write("\(Style.warning.on(STDERR_FILENO, "martlet: warning:")) \(line)\n")
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
      complain("\(error)")
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

/// How text stands out on a terminal. Elsewhere, and with NO_COLOR, it is plain.
///
/// Source: no-color.org.
enum Style: String {
  case heading = "1"
  case failure = "1;31"
  case success = "32"
  case warning = "33"

  /// The text as it is written to a descriptor.
  func on(_ descriptor: Int32, _ text: String) -> String {
    guard !text.isEmpty, Style.isTerminal[descriptor] == true else { return text }
    return "\u{1B}[\(rawValue)m\(text)\u{1B}[0m"
  }

  private static let isTerminal: [Int32: Bool] = {
    func value(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }
    let isPlain = !value("NO_COLOR").isEmpty || value("TERM") == "dumb" || value("TERM").isEmpty
    return Dictionary(
      uniqueKeysWithValues: [STDOUT_FILENO, STDERR_FILENO].map { ($0, !isPlain && isatty($0) == 1) }
    )
  }()
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
    return try EngineOptions.mode(mode)
  }

  /// The mode of a name; throws `invalidArgument` for one that is none.
  static func mode(_ name: String) throws(MartletError) -> MathMode {
    do throws(MartletError) {
      return try MathMode(name: name)
    } catch {
      var error = error
      error.code = .invalidArgument  // a wrong option, not a missing file
      throw error
    }
  }
}
