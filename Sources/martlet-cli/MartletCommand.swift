import ArgumentParser
import Glibc
import MartletCore

/// The `martlet` command.
@main
struct MartletCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet",
    abstract: "Runs neural networks on CPUs, in float32 or on the bfloat16 units.",
    discussion: """
      Results go to standard output, progress and errors to standard error.

      Exit codes: 0 done, 1 failed, 64 wrong usage or input, 65 malformed model or file of arrays, \
      66 no such file, 69 not supported, 70 a fault of martlet, 71 out of memory, 74 reading or \
      writing failed.

      Colours are for terminals alone; NO_COLOR turns them off there too.
      """,
    version: "0.1.0",
    subcommands: [
      InfoCommand.self, InspectCommand.self, RunCommand.self, BenchCommand.self, TuneCommand.self,
    ])
  /// What the parser prints by itself, such as help, is a result too: it must arrive.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error where exitCode(for: error).isSuccess {
      do {
        try Console.reporting { try Console.output(fullMessage(for: error)) }
      } catch {
        exit(withError: error)
      }
    } catch {
      exit(withError: error)
    }
  }
}
