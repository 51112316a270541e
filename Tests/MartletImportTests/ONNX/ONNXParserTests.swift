import Glibc
import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct ONNXParserTests {
  private func error(_ bytes: [UInt8]) -> MartletError? {
    martletError { _ = try Model.load(bytes) }
  }

  /// A model with a bit of everything, of operators that need not exist.
  private var sample: [UInt8] {
    let branch = ONNXEncoder.graph(
      [ONNXEncoder.node("Relu", ["x"], ["b"])], outputs: [ONNXEncoder.value("b", 1, ["n", "3"])])
    return ONNXEncoder.model(
      ONNXEncoder.graph(
        [
          ONNXEncoder.node("MatMul", ["x", "w"], ["h"], name: "product"),
          ONNXEncoder.node(
            "Clip", ["h"], ["y"], [("min", .float(0)), ("max", .float(6))]),
          ONNXEncoder.node(
            "If", ["cond"], ["z"],
            [("then_branch", .graph(branch)), ("else_branch", .graph(branch))]),
          ONNXEncoder.node(
            "Constant", [], ["k"], [("value", .tensor(ONNXEncoder.floats("t", [1], [3])))]),
          ONNXEncoder.node(
            "Squeeze", ["y"], ["s"], [("axes", .ints([0])), ("note", .string("é"))]),
        ],
        inputs: [ONNXEncoder.value("x", 1, ["n", "2"]), ONNXEncoder.value("cond", 9)],
        outputs: [ONNXEncoder.value("y", 1, ["n", "3"]), ONNXEncoder.value("z", 1, nil)],
        initializers: [
          ONNXEncoder.floats("w", [2, 3], [1, 2, 3, 4, 5, 6]),
          Message.build {
            $0.integers(1, [2])
            $0.integer(2, 7)
            $0.integers(7, [3, -4])
            $0.string(8, "i")
          },
        ]), opset: 10)
  }

  @Test("a model cut off at any byte is an error, never a trap")
  func truncation() {
    let bytes = sample
    for length in 0..<bytes.count {
      do { _ = try Model.load(Array(bytes[..<length])) } catch {
        #expect(!error.message.isEmpty)
      }
    }
  }

  @Test("a model with any one bit flipped loads or is an error, never a trap")
  func bitFlips() {
    let bytes = sample
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << bit
        _ = try? Model.load(damaged)
      }
    }
  }

  @Test("random bytes in random places, never a trap")
  func randomDamage() {
    var generator = SystemRandomNumberGenerator()
    let bytes = sample
    for _ in 0..<3000 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let index = Int.random(in: 0..<damaged.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: damaged[index] = UInt8.random(in: 0...255, using: &generator)
        case 1: damaged.insert(UInt8.random(in: 0...255, using: &generator), at: index)
        default: damaged.remove(at: index)
        }
        if damaged.isEmpty { damaged = [0] }
      }
      _ = try? Model.load(damaged)
    }
  }

  @Test("what is no model says so")
  func notAModel() {
    #expect(error([])?.message.contains("empty") == true)
    for bytes in [Array("\u{89}PNG\r\n\u{1a}\n".utf8), Array("hello world".utf8), [0xFF, 0xFF]] {
      #expect(error(bytes)?.code == .invalidModel)
      #expect(error(bytes)?.message.contains("not an ONNX model") == true)
    }
    #expect(error([0x08, 0x08])?.message.contains("no graph") == true)
  }

  @Test("files that cannot be read are errors with the path and the reason")
  func files() throws {
    let directory = TemporaryDirectory()
    func error(_ path: String) -> MartletError? {
      martletError { _ = try Model.load(path: path) }
    }
    #expect(error(directory.path)?.code == .io)
    #expect(error(directory.path)?.message.contains("directory") == true)
    #expect(error(directory.path + "/none.onnx")?.code == .notFound)
    #expect(error(directory.write("empty.onnx", []))?.code == .invalidModel)
    #expect(error("/dev/zero")?.code == .io)
    let pipe = directory.path + "/pipe"
    if mkfifo(pipe, 0o600) == 0 { #expect(error(pipe)?.code == .io) }
  }

  @Test("errors of coding name the message and the byte")
  func wireErrors() {
    let long = error([0x08] + [UInt8](repeating: 0xFF, count: 11))
    #expect(long?.message.contains("byte 1") == true)
    #expect(error([0x3A, 0x7F, 0x00])?.message.contains("127 bytes") == true)
    #expect(error([0x0B])?.message.contains("wire type 3") == true)
    #expect(error([0x00, 0x00])?.message.contains("field number 0") == true)
    // graph, node, input with a length past its end
    #expect(error([0x3A, 0x04, 0x0A, 0x02, 0x0A, 0x09])?.message.contains("graph.node[0]") == true)
    #expect(error([0x3A, 0x02, 0x08, 0x01])?.message.contains("coded as varint") == true)
  }

  @Test("graphs nested without end are refused")
  func nesting() {
    var graph = ONNXEncoder.graph([ONNXEncoder.node("Relu", ["x"], ["y"])])
    for _ in 0..<2000 {
      graph = ONNXEncoder.graph([
        ONNXEncoder.node("If", [], ["y"], [("then_branch", .graph(graph))])
      ])
    }
    #expect(error(ONNXEncoder.model(graph))?.message.contains("nested") == true)
  }
}
