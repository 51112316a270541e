import MartletCore
import ONNXFixtures
import Testing

@testable import MartletRuntime

@Suite struct RunOptionsNamesTests {
  private func set(_ name: String, _ text: String) throws -> RunOptions? {
    var options = RunOptions()
    return try options.set(OptionText(name: name, text: text)) ? options : nil
  }

  @Test("options are set by name and text") func names() throws {
    #expect(try set("winograd", "0")?.permitsWinograd == false)
    #expect(try set("winograd", "1")?.permitsWinograd == true)
    #expect(try set("max_loop_iterations", "12")?.maximumLoopIterations == 12)
    #expect(try set("max_memory_bytes", "1099511627776")?.maximumMemoryBytes == 1 << 40)
    #expect(try set("max_milliseconds", "250")?.maximumMilliseconds == 250)
    #expect(try set("flush_denormals", "1")?.flushesDenormals == true)
    #expect(try set("no_such_option", "1") == nil)
    for name in RunOptions.names { #expect(try set(name, "1") != nil) }
  }

  @Test(
    "values that an option does not take are refused, naming it",
    arguments: [
      ("winograd", "yes"), ("winograd", ""), ("max_loop_iterations", "-1"),
      ("max_memory_bytes", "1e9"), ("max_memory_bytes", "9223372036854775808"),
      ("max_memory_bytes", " 1"), ("max_milliseconds", "0.5"),
      ("flush_denormals", "true"),
    ])
  func badValues(name: String, text: String) {
    let error = martletError { _ = try set(name, text) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.input == name)
    #expect(error?.actual == text)
  }
}
