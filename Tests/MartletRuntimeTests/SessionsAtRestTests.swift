import MartletCore
import ONNXFixtures
import Testing

@testable import MartletRuntime

@Suite struct SessionsAtRestTests {
  /// y = Relu(-x), of which the first result is kept in memory of the session.
  private func model() throws -> Model {
    try Model.load(
      ONNXEncoder.model(
        ONNXEncoder.graph(
          [ONNXEncoder.node("Exp", ["x"], ["h"]), ONNXEncoder.node("Relu", ["h"], ["y"])],
          inputs: [ONNXEncoder.value("x", 1, ["n"])], outputs: [ONNXEncoder.value("y", 1, ["n"])]
        )))
  }

  /// Runs with so many sessions at once, each on `count` numbers.
  private func run(_ rest: SessionsAtRest, nested: Int, count: Int) throws {
    try rest.withSession { session throws(MartletError) in
      do {
        _ = try session.run([Tensor.floats([count], [1])])
        if nested > 1 { try run(rest, nested: nested - 1, count: count) }
      } catch {
        throw error as? MartletError ?? MartletError(.internalError, "\(error)")
      }
    }
  }

  @Test("a session that comes back is used again")
  func reuse() throws {
    let rest = SessionsAtRest(of: try model())
    try run(rest, nested: 1, count: 10)
    try run(rest, nested: 1, count: 10)
    #expect(rest.statistics.count == 1)
  }

  @Test("no more than the limit rest")
  func count() throws {
    let rest = SessionsAtRest(of: try model(), limit: 3)
    try run(rest, nested: 7, count: 10)
    #expect(rest.statistics.count == 3)
  }

  @Test("all but one keep no more bytes than the limit")
  func bytes() throws {
    let rest = SessionsAtRest(of: try model(), limit: 8, byteLimit: 1 << 16)
    try run(rest, nested: 6, count: 1 << 18)
    #expect(rest.statistics.count == 6)
    #expect(rest.statistics.bytes >= 4 << 18)
    #expect(rest.statistics.bytes < 2 * (4 << 18) + 1 << 16)
  }

  @Test("options that a run sets do not outlive it")
  func options() throws {
    let rest = SessionsAtRest(of: try model())
    try rest.withSession { $0.options.mode = .bf16 }
    let mode = try rest.withSession { $0.options.mode }
    #expect(mode == nil)
  }
}
