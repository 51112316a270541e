import MartletCore
import MartletOperators
import ONNXFixtures
import Testing

@testable import MartletRuntime

@Suite struct ModelReadingsTests {
  /// y = x + z, of extents by these names.
  private func sum(_ x: [String], _ z: [String], strict: Bool = false) throws -> Model {
    var options = Model.Options()
    options.hasStrictShapes = strict
    return try Model.load(
      ONNXEncoder.model(
        ONNXEncoder.graph(
          [ONNXEncoder.node("Add", ["x", "z"], ["y"], name: "add")],
          inputs: [ONNXEncoder.value("x", 1, x), ONNXEncoder.value("z", 1, z)],
          outputs: [ONNXEncoder.value("y", 1, nil)])), options: options)
  }

  /// y = x * k + b, where k and b have values, and are inputs too.
  private func scaled() throws -> Model {
    try Model.load(
      ONNXEncoder.model(
        ONNXEncoder.graph(
          [
            ONNXEncoder.node("Mul", ["x", "k"], ["h"], name: "scale"),
            ONNXEncoder.node("Add", ["h", "b"], ["y"], name: "shift"),
          ],
          inputs: [
            ONNXEncoder.value("k", 1, ["n"]), ONNXEncoder.value("x", 1, ["n"]),
            ONNXEncoder.value("b", 1, ["1"]),
          ],
          outputs: [ONNXEncoder.value("y", 1, ["n"])],
          initializers: [
            ONNXEncoder.floats("k", [1], [2]), ONNXEncoder.floats("b", [1], [0.5]),
          ])))
  }

  @Test("extents of one name may differ in a run, and each run is computed for its own")
  func sharedNames() throws {
    let session = try sum(["n", "n"], ["n", "2"]).makeRun()
    let x = try Tensor.floats([3, 2], [1, 2, 3, 4, 5, 6])
    let row = try Tensor.floats([1, 2], [10, 20])
    let square = try Tensor.floats([2, 2], [1, 1, 1, 1])
    for _ in 0..<2 {
      #expect(try session.run([x, row])[0].floats == [11, 22, 13, 24, 15, 26])
      #expect(session.precisionReport(includingOthers: true).map(\.node) == ["add"])
      #expect(try session.run([square, square])[0].floats == [2, 2, 2, 2])
    }
    #expect(try session.run(["z": row, "x": x])[0].shape == [3, 2])
    #expect(try session.model.resultBytes([[3, 2], [1, 2]]) == 24)
  }

  @Test("other threads may run the other way meanwhile")
  func threads() async throws {
    let model = try sum(["n"], ["n"])
    let x = try Tensor.floats([3], [1, 2, 3])
    let one = try Tensor.floats([1], [1])
    try await withThrowingTaskGroup(of: [Float].self) { group in
      for index in 0..<8 {
        group.addTask { try model.makeRun().run([x, index % 2 == 0 ? one : x])[0].floats }
      }
      for try await floats in group { #expect(floats == [2, 3, 4] || floats == [2, 4, 6]) }
    }
  }

  @Test("what no reading lets in is refused as before, naming input and extents")
  func refused() throws {
    let session = try sum(["n", "n"], ["n", "2"]).makeRun()
    let x = try Tensor.floats([3, 2], [1])
    let wide = martletError { _ = try session.run([x, try Tensor.floats([3, 3], [1])]) }
    #expect(wide?.code == .invalidShape)
    #expect(wide?.input == "z")
    #expect(wide?.expected == "float32[n, 2]")
    #expect(martletError { _ = try session.model.resultBytes([[3, 2], [3, 3]]) }?.input == "z")
    // The shapes are let in, but the node cannot add them.
    let node = martletError { _ = try session.run([x, try Tensor.floats([2, 2], [1])]) }
    #expect(node?.code == .invalidShape)
    #expect(node?.node == "add")
  }

  @Test("an input that is declared without extents may be of any rank")
  func scalars() throws {
    let session = try sum([], ["n"]).makeRun()
    let z = try Tensor.floats([2], [1, 2])
    #expect(try session.run([try Tensor.floats([], [5]), z])[0].floats == [6, 7])
    #expect(try session.run([try Tensor.floats([2, 2], [1]), z])[0].floats == [2, 3, 2, 3])
  }

  @Test("with strict shapes, equal names are equal extents and no extents a scalar")
  func strict() throws {
    let session = try sum(["n"], ["n"], strict: true).makeRun()
    let one = try Tensor.floats([1], [1])
    let error = martletError { _ = try session.run([try Tensor.floats([3], [1]), one]) }
    #expect(error?.code == .invalidShape)
    #expect(error?.expected == "n = 3")
    let scalar = try sum([], ["n"], strict: true).makeRun()
    #expect(martletError { _ = try scalar.run([one, one]) }?.code == .invalidShape)
  }

  @Test("initialisers that are inputs too have their value unless a run is given another")
  func replaced() throws {
    let model = try scaled()
    #expect(model.inputs.map(\.name) == ["x"])
    #expect(model.replaceable.map(\.name) == ["k", "b"])
    #expect(model.replaceable[0].shape == [.symbol("n")])
    let session = model.makeRun()
    let x = try Tensor.floats([2], [1, 2])
    func run(_ given: [String: Tensor]) throws -> [Float] {
      var given = given
      given["x"] = x
      return try session.run(given)[0].floats
    }
    for _ in 0..<2 {
      #expect(try run([:]) == [2.5, 4.5])
      #expect(try run(["k": try Tensor.floats([2], [10, 100])]) == [10.5, 200.5])
      // An extent by the same name that differs.
      #expect(try run(["k": try Tensor.floats([1], [3])]) == [3.5, 6.5])
      #expect(try run(["b": try Tensor.floats([1], [0])]) == [2, 4])
      let both = ["k": try Tensor.floats([1], [0]), "b": try Tensor.floats([1], [7])]
      #expect(try run(both) == [7, 7])
    }
  }

  @Test("a value that does not fit an initialiser's declaration is refused, naming it")
  func badReplacement() throws {
    let session = try scaled().makeRun()
    let x = try Tensor.floats([2], [1, 2])
    func error(_ given: [String: Tensor]) -> MartletError? {
      martletError { _ = try session.run(given) }
    }
    let shape = error(["x": x, "b": x])
    #expect(shape?.code == .invalidShape)
    #expect(shape?.input == "b")
    #expect(error(["x": x, "b": try Tensor(uninitialized: .int32, [1])])?.code == .invalidDType)
    #expect(error(["b": try Tensor.floats([1], [0])])?.code == .invalidArgument)
    #expect(error(["x": x, "q": x])?.code == .notFound)
    #expect(try session.run(["x": x])[0].floats == [2.5, 4.5])
  }

  @Test("before version 4 of the file's format initialisers are no inputs")
  func oldFiles() throws {
    var bytes = ONNXEncoder.model(
      ONNXEncoder.graph(
        [ONNXEncoder.node("Mul", ["x", "k"], ["y"])],
        inputs: [ONNXEncoder.value("x", 1, ["n"]), ONNXEncoder.value("k", 1, ["1"])],
        outputs: [ONNXEncoder.value("y", 1, ["n"])],
        initializers: [ONNXEncoder.floats("k", [1], [2])]))
    // The first field is the version.
    #expect(bytes.prefix(2) == [8, 8])
    bytes[1] = 3
    let model = try Model.load(bytes)
    #expect(model.replaceable.isEmpty)
    let x = try Tensor.floats([1], [1])
    let error = martletError { _ = try model.makeRun().run(["x": x, "k": x]) }
    #expect(error?.code == .notFound)
  }
}
