import MartletCore
import ONNXFixtures
import Testing

@testable import MartletRuntime

@Suite struct PortNamesTests {
  private let inputs = PortNames(["a", "b", "c"], "input")

  @Test("names become positions, in any order and not all of them") func positions() throws {
    #expect(try inputs.positions(of: ["c", "a"]) == [2, 0])
    #expect(try inputs.positions(of: []) == [])
    #expect(try inputs.ordered([1, 2, 3], named: ["c", "a", "b"]) == [2, 3, 1])
  }

  @Test("what is listed twice may be asked for twice") func twice() throws {
    let outputs = PortNames(["y", "z", "y"], "output")
    #expect(try outputs.positions(of: ["y", "y", "z"]) == [0, 2, 1])
    #expect(
      martletError { _ = try outputs.positions(of: ["y", "y", "y"]) }?.code == .invalidArgument)
  }

  @Test("an unknown, a repeated and a missing name are told apart, and named") func errors() {
    let unknown = martletError { _ = try inputs.positions(of: ["a", "d"]) }
    #expect(unknown?.code == .notFound)
    #expect(unknown?.input == "d")
    #expect(unknown?.expected == "'a', 'b', 'c'")
    let repeated = martletError { _ = try inputs.positions(of: ["a", "a"]) }
    #expect(repeated?.code == .invalidArgument)
    #expect(repeated?.input == "a")
    let missing = martletError { _ = try inputs.ordered([1, 2], named: ["a", "c"]) }
    #expect(missing?.code == .invalidArgument)
    #expect(missing?.input == "b")
    #expect(missing?.actual == "'a', 'c'")
    let none = martletError { _ = try PortNames([], "input").positions(of: ["x"]) }
    #expect(none?.expected == "none")
  }
}
