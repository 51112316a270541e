import MartletCore
import ONNXFixtures
import Testing

@testable import MartletRuntime

@Suite struct LiveSessionsTests {
  private func model() throws -> Model {
    try Model.load(
      ONNXEncoder.model(
        ONNXEncoder.graph(
          [
            ONNXEncoder.node("Sin", ["x"], ["s"]), ONNXEncoder.node("Neg", ["s"], ["n"]),
            ONNXEncoder.node("Size", ["n"], ["y"]),
          ], inputs: [ONNXEncoder.value("x", 1, ["1000"])], outputs: [ONNXEncoder.value("y", 7, [])]
        )))
  }

  @Test("the sessions of one model are trimmed, those of others keep what they have")
  func models() throws {
    let x = try Tensor(uninitialized: .float32, [1000])
    for index in 0..<1000 { x.typed(Float.self)[index] = 1 }
    let (mine, other) = (try model(), try model())
    let sessions = [mine.makeRun(), mine.makeRun(), other.makeRun()]
    for session in sessions { for _ in 0..<3 { _ = try session.run([x]) } }
    #expect(sessions.allSatisfy { $0.memoryStatistics.kept > 0 })
    LiveSessions.trim(of: mine)
    #expect(sessions.map { $0.memoryStatistics.kept > 0 } == [false, false, true])
    #expect(try sessions[0].run([x]).count == 1)
  }
}
