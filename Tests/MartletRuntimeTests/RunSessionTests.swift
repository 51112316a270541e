import MartletCore
import MartletOperators
import ONNXFixtures
import Testing

@testable import MartletRuntime

@Suite struct RunSessionTests {
  /// y = Relu(x @ w + b), with weights that lie at an odd byte of the file.
  private func model(_ options: Model.Options = Model.Options()) throws -> Model {
    let weights = ramp(64 * 48, 37, 101)
    let graph = ONNXEncoder.graph(
      [
        ONNXEncoder.node("MatMul", ["x", "w"], ["h"], name: "product"),
        ONNXEncoder.node("Add", ["h", "b"], ["s"], name: "sum"),
        ONNXEncoder.node("Relu", ["s"], ["y"], name: "relu"),
      ],
      inputs: [ONNXEncoder.value("x", 1, ["n", "64"])],
      outputs: [ONNXEncoder.value("y", 1, ["n", "48"])],
      initializers: [
        ONNXEncoder.floats("w", [64, 48], weights),
        ONNXEncoder.floats("b", [48], ramp(48, 5, 48)),
      ])
    return try Model.load(ONNXEncoder.model(graph), options: options)
  }

  /// Values in -1..<1 that repeat after `period`.
  private func ramp(_ count: Int, _ step: Int, _ period: Int) -> [Float] {
    var values: [Float] = []
    for index in 0..<count { values.append(2 * Float(index * step % period) / Float(period) - 1) }
    return values
  }

  private func input(_ rows: Int) throws -> Tensor {
    try Tensor.floats([rows, 64], ramp(997, 29, 199))
  }

  @Test("bias and activation run within the product, and the report says what it ran as")
  func report() throws {
    let session = try model().makeRun()
    _ = try session.run(["x": input(3)])
    let rows = session.precisionReport()
    #expect(rows.map(\.node) == ["product"])
    #expect(rows.map(\.precision) == ["fp32"])
    #expect(session.model.graph.nodes[0].fused == ["sum", "relu"])
    #expect(session.model.passReport.first?.nodesBefore == 3)
  }

  @Test("without passes the nodes are those of the file, and results agree")
  func unoptimized() throws {
    var options = Model.Options()
    options.optimizationLevel = 0
    let plain = try model(options)
    #expect(plain.graph.nodes.map(\.name) == ["product", "sum", "relu"])
    let x = try input(5)
    let (a, b) = (try plain.makeRun().run([x])[0], try model().makeRun().run([x])[0])
    for (p, q) in zip(a.floats, b.floats) { #expect(abs(p - q) < 1e-4) }
  }

  @Test("BF16 off again gives the very bits of never having been on")
  func modeOffAgain() throws {
    let x = try input(9)
    func run(_ session: RunSession, _ mode: MathMode) throws -> [Float] {
      session.options.mode = mode
      return try session.run([x])[0].floats
    }
    let never = try run(model().makeRun(), .fp32)
    let session = try model().makeRun()
    let on = try run(session, .bf16)
    let isBF16 = session.precisionReport().contains { $0.precision == "bf16" }
    #expect(isBF16 || session.precisionReport().allSatisfy { !$0.reason.isEmpty })
    #expect(isBF16 == (on != never))
    #expect(try run(session, .fp32) == never)
    for (p, q) in zip(on, never) { #expect(abs(p - q) < 0.1 + abs(q) * 0.02) }
  }

  @Test("a session's mode goes before the model's, the model's before the thread's")
  func precedence() throws {
    var options = Model.Options()
    options.run.mode = .fp32
    let session = try model(options).makeRun()
    try MathMode.pushScope(.bf16)
    defer { _ = try? MathMode.popScope() }
    let x = try input(2)
    _ = try session.run([x])
    #expect(session.precisionReport().allSatisfy { $0.precision == "fp32" && $0.reason.isEmpty })
    session.options.mode = .bf16
    _ = try session.run([x])
    #expect(session.precisionReport().contains { $0.precision == "bf16" || !$0.reason.isEmpty })
  }

  @Test("a row of a batch has the bits of that row alone")
  func batchInvariance() throws {
    let session = try model().makeRun()
    let x = try input(7)
    let all = try session.run([x])[0]
    for row in 0..<7 {
      let alone = try session.run([x.sliced(axis: 0, start: row, count: 1, step: 1)])[0]
      #expect(alone.floats == all.sliced(axis: 0, start: row, count: 1, step: 1).floats)
    }
  }

  @Test("sessions of one model run on many threads at once")
  func threads() async throws {
    let model = try model()
    let x = try input(11)
    let expected = try model.makeRun().run([x])[0].floats
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<6 {
        group.addTask {
          let session = model.makeRun()
          for _ in 0..<30 where try session.run([x])[0].floats != expected { return false }
          return true
        }
      }
      for try await isSame in group { #expect(isSame) }
    }
  }

  @Test("results outlive session and model")
  func lifetime() throws {
    var result: Tensor?
    do { result = try model().makeRun().run([input(2)])[0] }
    #expect(result?.floats.count == 96)
  }
}
