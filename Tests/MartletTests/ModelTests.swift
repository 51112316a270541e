import Martlet
import Testing

@Suite struct ModelTests {
  private static let digits =
    #filePath.split(separator: "/").dropLast(3).reduce(into: "") {
      $0 += "/" + $1
    } + "/Examples/models/digits.onnx"

  @Test("a model loads, runs and says what it ran as") func run() throws {
    let model = try Model(path: ModelTests.digits)
    let input = try #require(model.inputs.first)
    let pixels = [Float](repeating: 0.5, count: 64)
    let shape = try #require(input.shape)
    let extents = shape.map { Int($0) ?? 1 }
    let (outputs, report) = try model.runReporting([input.name: Tensor(pixels, shape: extents)])
    let scores = try #require(outputs.values.first).elements(Float.self)
    #expect(scores.count == 10 && scores.allSatisfy(\.isFinite))
    #expect(!report.isEmpty)
  }

  @Test("errors name the input") func errors() throws {
    let model = try Model(path: ModelTests.digits)
    do throws(MartletError) {
      _ = try model.run(["no such input": Tensor([Float(0)], shape: [1])])
      Issue.record("a misnamed input was accepted")
    } catch {
      #expect(error.code == .notFound && error.message.contains("no such input"))
    }
    #expect(throws: MartletError.self) { try Model(path: "/no/such/file.onnx") }
    #expect(throws: MartletError.self) { try Tensor([Float(1)], shape: [2]) }
  }

  @Test("a run ends at a limit that the model was given") func limits() throws {
    let model = try Model(path: ModelTests.digits, maximumMemoryBytes: 8)
    let input = try #require(model.inputs.first)
    let extents = try #require(input.shape).map { Int($0) ?? 1 }
    let image = try Tensor([Float](repeating: 0.5, count: 64), shape: extents)
    #expect {
      _ = try model.run([input.name: image])
    } throws: {
      ($0 as? MartletError)?.code == .limitExceeded
    }
    #expect(throws: MartletError.self) {
      try Model(path: ModelTests.digits, maximumLoopIterations: -1)
    }
    #expect(throws: MartletError.self) {
      try Model(path: ModelTests.digits, maximumMilliseconds: -1)
    }
  }
}
