import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import martlet_cli

@Suite struct MadeUpInputsTests {
  private func model(_ extents: [String]?) throws -> Model {
    try Model.load(
      ONNXEncoder.model(
        ONNXEncoder.graph(
          [ONNXEncoder.node("Relu", ["x"], ["y"])], inputs: [ONNXEncoder.value("x", 1, extents)],
          outputs: [ONNXEncoder.value("y", 1, nil)])))
  }

  private func shape(_ words: [String], _ model: Model) throws -> [Int]? {
    var inputs = try MadeUpInputs(words, for: model)
    return try inputs.complete([:], for: model)["x"]?.shape
  }

  @Test func `symbols have extents, and inputs whole shapes`() throws {
    let model = try model(["batch", "3", "", ""])
    #expect(try shape([], model) == [1, 3, 1, 1])
    #expect(try shape(["batch=2"], model) == [2, 3, 1, 1])
    #expect(try shape(["x=4x3x8x9"], model) == [4, 3, 8, 9])
  }

  @Test func `extents without a name that were guessed are told where a run fails`() throws {
    let model = try model(["batch", "3", "", ""])
    var inputs = try MadeUpInputs([], for: model)
    _ = try inputs.complete([:], for: model)
    let error = inputs.explained(
      MartletError(.invalidShape, "AveragePool: the window exceeds the padded input"))
    #expect(error.description.contains("the window exceeds the padded input\n"))
    #expect(error.description.contains("'x', float32[batch, 3, ?, ?], was made up as [1, 3, 1, 1]"))
    #expect(error.description.contains("size it with x=Nx3xNxN, or give it with --input"))
    var whole = try MadeUpInputs(["x=1x3x8x8"], for: model)
    _ = try whole.complete([:], for: model)
    #expect(whole.explained(MartletError(.invalidShape, "no")).message == "no")
  }

  @Test(arguments: [
    ("x=1x2", "has 4 axes; x=1x2 gives 2"), ("batch", "expected symbol=extent"),
    ("batch=-1", "expected symbol=extent"), ("batch=1x2", "no input has the symbol 'batch'"),
    ("n=1", "the symbols are: batch; the inputs, which take a shape as in 1x3x224x224, are: x"),
  ])
  func `sizes that do not fit are named`(word: String, message: String) throws {
    let model = try model(["batch", "3", "", ""])
    let error = martletError { _ = try MadeUpInputs([word], for: model) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }
}
