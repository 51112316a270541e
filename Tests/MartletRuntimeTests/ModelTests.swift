import MartletCore
import MartletOperators
import ONNXFixtures
import Testing

@testable import MartletRuntime

@Suite struct ModelTests {
  /// y = x, c = a constant: a model without nodes.
  private func passThrough() -> [UInt8] {
    ONNXEncoder.model(
      ONNXEncoder.graph(
        [],
        inputs: [ONNXEncoder.value("x", 1, ["n", "2"]), ONNXEncoder.value("z", 1, ["n"])],
        outputs: [
          ONNXEncoder.value("x", 1, ["n", "2"]), ONNXEncoder.value("c", 1, ["2"]),
        ],
        initializers: [ONNXEncoder.floats("c", [2], [5, 6])]))
  }

  @Test("inputs, outputs and metadata are those of the file")
  func description() throws {
    let model = try Model.load(passThrough())
    #expect(model.inputs.map(\.name) == ["x", "z"])
    #expect(model.inputs[0].dtype == .float32)
    #expect(model.inputs[0].shape == [.symbol("n"), .known(2)])
    #expect(model.outputs.map(\.name) == ["x", "c"])
    #expect(model.outputs[1].shape == [.known(2)])
    #expect(model.metadata.producerName == "martlet-tests")
    #expect(model.metadata.opsets == ["": 21])
    #expect(model.metadata.irVersion == 8)
    #expect(model.metadata.graphName == "test")
  }

  @Test("results never share memory with inputs or weights")
  func noAliasing() throws {
    let session = try Model.load(passThrough()).makeRun()
    let x = try Tensor.floats([3, 2], [1, 2, 3, 4, 5, 6])
    let z = try Tensor.floats([3], [0])
    let results = try session.run(["x": x, "z": z])
    #expect(results[0].floats == x.floats)
    #expect(!results[0].overlaps(x))
    results[1].typed(Float.self)[0] = 99
    #expect(try session.run(["x": x, "z": z])[1].floats == [5, 6])
  }

  @Test("destinations of any strides receive the outputs")
  func destinations() throws {
    let session = try Model.load(passThrough()).makeRun()
    let x = try Tensor.floats([3, 2], [1, 2, 3, 4, 5, 6])
    let z = try Tensor.floats([3], [0])
    let transposed = try Tensor.floats([2, 3], [0]).permuted([1, 0])
    let results = try session.run(["x": x, "z": z], destinations: ["x": transposed])
    #expect(results[0].storage === transposed.storage)
    #expect(transposed.floats == [1, 2, 3, 4, 5, 6])
    // In place: the destination is the input itself.
    let inPlace = try session.run(["x": x, "z": z], destinations: ["x": x])
    #expect(inPlace[0].floats == [1, 2, 3, 4, 5, 6])
  }

  @Test("destinations that do not fit are refused, naming the output")
  func badDestinations() throws {
    let session = try Model.load(passThrough()).makeRun()
    let x = try Tensor.floats([3, 2], [1])
    let inputs = ["x": x, "z": try Tensor.floats([3], [0])]
    let bad: [[String: Tensor]] = [
      ["x": try Tensor.floats([4, 2], [0])], ["x": try Tensor.floats([6], [0])],
      ["x": try Tensor(uninitialized: .int32, [3, 2])], ["y": x],
      ["x": try Tensor.floats([1], [0]).broadcast(to: [3, 2])],
    ]
    for destinations in bad {
      let error = martletError { _ = try session.run(inputs, destinations: destinations) }
      #expect(error?.input != nil)
    }
    let shared = try Tensor.floats([8], [0])
    let first = try shared.restrided([3, 2], strides: [2, 1])
    let second = shared.sliced(axis: 0, start: 5, count: 2, step: 1)
    let error = martletError {
      _ = try session.run(inputs, destinations: ["x": first, "c": second])
    }
    #expect(error?.code == .invalidArgument)
  }

  @Test("wrong inputs are refused with the input's name, what was expected and what came")
  func badInputs() throws {
    let session = try Model.load(passThrough()).makeRun()
    let x = try Tensor.floats([3, 2], [1])
    let z = try Tensor.floats([3], [0])
    func error(_ inputs: [String: Tensor]) -> MartletError? {
      martletError { _ = try session.run(inputs) }
    }
    let missing = error(["x": x])
    #expect(missing?.code == .invalidArgument)
    #expect(missing?.input == "z")
    #expect(error(["x": x, "z": z, "q": z])?.message.contains("'q'") == true)
    #expect(error(["x": x, "Z": z])?.message.contains("'Z'") == true)
    let shape = error(["x": try Tensor.floats([3, 3], [1]), "z": z])
    #expect(shape?.code == .invalidShape)
    #expect(shape?.input == "x")
    #expect(shape?.expected == "float32[n, 2]")
    #expect(shape?.actual == "float32[3, 3]")
    #expect(error(["x": z, "z": z])?.code == .invalidShape)
    #expect(
      error(["x": try Tensor(uninitialized: .int64, [3, 2]), "z": z])?.code == .invalidDType)
    #expect(martletError { _ = try session.run([x]) }?.code == .invalidArgument)
    // A later correct call works.
    #expect(try session.run(["x": x, "z": z]).count == 2)
  }

  @Test("progress is told of, and may cancel load and run")
  func cancel() throws {
    let bytes = passThrough()
    let error = martletError {
      _ = try bytes.withUnsafeBytes { try Model.load(bytes: $0, progress: { _ in false }) }
    }
    #expect(error?.code == .cancelled)
    let session = try Model.load(bytes).makeRun()
    let inputs = ["x": try Tensor.floats([1, 2], [1]), "z": try Tensor.floats([1], [1])]
    #expect(
      martletError { _ = try session.run(inputs, progress: { _ in false }) }?.code == .cancelled)
    #expect(try session.run(inputs, progress: { $0.stage == "run" }).count == 2)
  }

  @Test("an unknown pass to leave out is an error that lists the passes")
  func unknownPass() throws {
    var options = Model.Options()
    options.disabledPasses = ["no-such-pass"]
    let error = martletError { _ = try Model.load(passThrough(), options: options) }
    #expect(error?.code == .notFound)
    #expect(error?.expected?.contains("dead-code") == true)
  }
}
