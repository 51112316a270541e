import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import martlet_cli

@Suite struct ResultFilesTests {
  @Test(arguments: [
    ("out", "out"), ("input:0", "input_0"), ("a/b\\c", "a_b_c"), ("../x", "_.._x"), ("", "_"),
    ("..", "_.."), ("softmax_11.tmp_0", "softmax_11.tmp_0"),
  ])
  func `an output's name becomes a harmless file name`(name: String, file: String) {
    #expect(ResultFiles.fileName(name) == file)
  }

  /// y = -x and b = (x > x), of any two extents.
  private func model() throws -> Model {
    try Model.load(
      ONNXEncoder.model(
        ONNXEncoder.graph(
          [
            ONNXEncoder.node("Neg", ["x"], ["y"]),
            ONNXEncoder.node("Greater", ["x", "x"], ["b/1"]),
          ],
          inputs: [ONNXEncoder.value("x", 1, ["n", "2"])],
          outputs: [
            ONNXEncoder.value("y", 1, ["n", "2"]), ONNXEncoder.value("b/1", 9, ["n", "2"]),
          ])))
  }

  private func options(_ words: String...) throws -> OutputOptions {
    try OutputOptions.parse(words)
  }

  @Test func `each form is read back`() throws {
    let folder = TemporaryDirectory()
    let files = try ResultFiles(
      options(
        "-o", folder.path + "/all.npz", "-o", "y=\(folder.path)/y.csv", "--output-dir", folder.path,
        "-o", folder.path + "/all.json"), for: model())
    let y = try Tensor.floats([2, 2], [1, -2.5, 3e-9, .infinity])
    let b = try Tensor(uninitialized: .bool, [2, 2])
    for index in 0..<4 { b.typed(UInt8.self)[index] = UInt8(index % 2) }
    try files.write([.tensor(y), .tensor(b)])
    #expect(
      files.paths(of: 1).map { $0.split(separator: "/").last } == [
        "all.npz", "all.json", "b_1.npy",
      ])
    guard case .arrays(let arrays) = try TensorFile(folder.path + "/all.npz") else {
      Issue.record("no .npz file")
      return
    }
    #expect(arrays.map(\.name) == ["y", "b/1"] && arrays[1].tensor.dtype == .bool)
    #expect(arrays[0].tensor.floats == y.floats)
    guard case .table(let table) = try TensorFile(folder.path + "/y.csv") else {
      Issue.record("no .csv file")
      return
    }
    #expect(try table.tensor(.float32, nil).floats == y.floats)
    guard case .array(let array) = try TensorFile(folder.path + "/b_1.npy") else {
      Issue.record("no .npy file")
      return
    }
    #expect(array.dtype == .bool && array.shape == [2, 2])
    let json = try OpenFile(reading: folder.path + "/all.json")
    let text = String(decoding: try json.read(count: json.byteCount, what: "it"), as: UTF8.self)
    #expect(
      text == """
        {
          "y": [[1.0, -2.5], [3e-09, "Infinity"]],
          "b/1": [[false, true], [false, true]]
        }

        """)
  }

  @Test(arguments: [
    ("x.bin", "expected .npy, .npz, .csv or .json"), ("x.npy", "takes one output"),
    ("z=x.npy", "no output 'z'; its outputs are 'y', 'b/1'"), ("x.csv", "name one of 'y', 'b/1'"),
  ])
  func `what cannot be written is refused before the run`(path: String, message: String) throws {
    let options = try options("--output", path)
    let model = try model()
    let error = martletError { _ = try ResultFiles(options, for: model) }
    #expect(error?.code == .invalidArgument && error?.message.contains(message) == true)
  }

  @Test func `a sequence is JSON alone`() throws {
    let folder = TemporaryDirectory()
    let values = Value.sequence(try ValueSequence([.tensor(Tensor.floats([1], [2]))]))
    let b = Value.tensor(try Tensor.floats([1], [0]))
    try ResultFiles(options("-o", folder.path + "/y.json"), for: model()).write([values, b])
    let error = martletError {
      try ResultFiles(options("-o", folder.path + "/y.npz"), for: model()).write([values, b])
    }
    #expect(error?.code == .unsupported && error?.message.contains("json has") == true)
  }
}
