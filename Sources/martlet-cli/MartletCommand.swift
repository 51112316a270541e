import ArgumentParser

/// The `martlet` command.
@main
struct MartletCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet",
    abstract: "Runs neural networks on CPUs, in float32 or on the bfloat16 units.",
    subcommands: [])
}
