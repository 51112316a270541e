import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct ONNXImporterSurveyTests {
  private func survey(_ bytes: [UInt8]) throws -> ModelSurvey {
    try bytes.withUnsafeBytes { try Model.survey(bytes: $0) }
  }

  @Test func `operators that are missing are marked, in subgraphs and functions too`() throws {
    let branch = ONNXEncoder.graph(
      [ONNXEncoder.node("Deep", ["x"], ["b"])], outputs: [ONNXEncoder.value("b", 1, ["n"])])
    let model = ONNXEncoder.model(
      ONNXEncoder.graph(
        [
          ONNXEncoder.node("Relu", ["x"], ["h"]), ONNXEncoder.node("Relu", ["h"], ["i"]),
          ONNXEncoder.node("Strange", ["i"], ["j"]),
          ONNXEncoder.node(
            "If", ["c"], ["y"], [("then_branch", .graph(branch)), ("else_branch", .graph(branch))]),
        ],
        inputs: [ONNXEncoder.value("x", 1, ["n"]), ONNXEncoder.value("c", 9, [])],
        outputs: [ONNXEncoder.value("y", 1, ["n"]), ONNXEncoder.value("j", 14, ["n"])],
        initializers: [ONNXEncoder.floats("w", [2, 3], [1, 2, 3, 4, 5, 6])]))
    #expect(martletError { _ = try Model.load(model) }?.code == .unsupported)
    let survey = try survey(model)
    #expect(
      survey.operators == [
        .init(name: "Deep", count: 2, isSupported: false),
        .init(name: "Relu", count: 2, isSupported: true),
        .init(name: "If", count: 1, isSupported: true),
        .init(name: "Strange", count: 1, isSupported: false),
      ])
    #expect(survey.inputs.map(\.name) == ["x", "c"] && survey.inputs[0].type?.dtype == .float32)
    // complex64: a type that there is none of.
    #expect(survey.outputs.map(\.name) == ["y", "j"] && survey.outputs[1].type == nil)
    #expect(survey.constantElements == 6 && survey.constantBytes == 24)
    #expect(survey.metadata.producerName == "martlet-tests")
  }

  @Test func `a model that is damaged has no survey`() {
    #expect(throws: MartletError.self) { try survey([8, 8, 58, 100, 1]) }
    #expect(throws: MartletError.self) { try survey([]) }
    #expect(throws: MartletError.self) { try survey(Array("GGUF    ".utf8)) }
  }
}
