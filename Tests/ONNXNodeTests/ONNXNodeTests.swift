import Glibc
import MartletBackends
import MartletCore
import MartletGraph
import MartletRuntime
import Testing

@testable import MartletImport

/// ONNX's own node tests: `MARTLET_ONNX_NODE_DATA` names the folder `onnx/backend/test/data/node` of
/// an installed `onnx` package, or, of newer ones, the folder `.build-onnx/cases-VERSION` that
/// scripts/onnx-suite writes. Each case is a model with inputs and expected outputs.
///
/// With `MARTLET_ONNX_NODE_REPORT=1` every case that does not pass is printed with its reason.
@Suite struct ONNXNodeTests {
  enum Outcome {
    case passed
    case unsupported(String)
    case failed(String)
  }

  private static let root = getenv("MARTLET_ONNX_NODE_DATA").map { String(cString: $0) }

  @Test(
    "every node case whose operators and types Martlet has gives the expected outputs",
    .enabled(if: root != nil, "MARTLET_ONNX_NODE_DATA is not set"))
  func nodeCases() throws {
    let root = try #require(Self.root)
    let names = try Self.entries(root).filter { $0.hasPrefix("test_") }
    try #require(!names.isEmpty, "no cases in \(root)")
    let wanted = getenv("MARTLET_ONNX_NODE_FILTER").map { String(cString: $0) }
    let reports = getenv("MARTLET_ONNX_NODE_REPORT") != nil
    var counts = (passed: 0, unsupported: 0, failed: 0)
    for name in names where wanted.map({ name.contains($0) }) ?? true {
      switch Self.run("\(root)/\(name)") {
      case .passed: counts.passed += 1
      case .unsupported(let reason):
        counts.unsupported += 1
        if reports { print("UNSUPPORTED \(name): \(reason)") }
      case .failed(let reason):
        if let known = Self.known[name] {
          counts.unsupported += 1
          if reports { print("KNOWN \(name): \(known)") }
        } else {
          counts.failed += 1
          Issue.record("\(name): \(reason)")
        }
      }
    }
    print(
      "ONNX node cases: \(counts.passed) passed, \(counts.failed) failed, "
        + "\(counts.unsupported) not supported")
  }

  /// Cases that cannot be held against their data, with the reason.
  private static let known: [String: String] = [
    "test_bernoulli": "random", "test_bernoulli_double": "random", "test_bernoulli_seed": "random",
    "test_l2normalization_axis_0": "newer ONNX defines a slice of norm 0 as 0, not NaN",
    "test_qlinearmatmul_2D_int8_float16": wraps, "test_qlinearmatmul_2D_int8_float32": wraps,
    "test_qlinearmatmul_3D_int8_float16": wraps, "test_qlinearmatmul_3D_int8_float32": wraps,
    "test_training_dropout_default": "random", "test_training_dropout_default_mask": "random",
  ]

  private static let wraps = "the data wrap around; the operator saturates, as its text says"

  private static func run(_ folder: String) -> Outcome {
    do {
      let model = try Model.load(path: "\(folder)/model.onnx")
      try readsBack(model.graph)
      let session = model.makeRun()
      for set in try entries(folder).filter({ $0.hasPrefix("test_data_set_") }) {
        let inputs = try tensors("\(folder)/\(set)", "input_", model.inputs.count)
        let expected = try tensors("\(folder)/\(set)", "output_", model.outputs.count)
        // The second and third run find their memory laid out.
        for _ in 0..<3 {
          let results = try session.run(inputs)
          for (index, (result, reference)) in zip(results, expected).enumerated() {
            if let difference = difference(result, reference) {
              return .failed("output \(index): \(difference)")
            }
          }
        }
      }
      return .passed
    } catch {
      let text = "\(error)"
      if let error = error as? MartletError, error.code == .unsupported {
        return .unsupported(text)
      }
      return .failed(text)
    }
  }

  /// Throws unless the graph's text reads back as it is.
  private static func readsBack(_ graph: Graph) throws(MartletError) {
    let text = graph.text
    let parsed = try Graph(parsing: text.text, constants: text.constants)
    guard parsed.text.text == text.text else {
      throw MartletError(.internalError, "the graph's text reads back as another graph")
    }
  }

  /// ONNX's own tolerances: 1e-3 relative, 1e-7 absolute.
  private static func difference(_ result: Tensor, _ expected: Tensor) -> String? {
    guard result.dtype == expected.dtype else { return "\(result.dtype), not \(expected.dtype)" }
    guard result.shape == expected.shape else {
      return "shape \(result.shape), not \(expected.shape)"
    }
    let (values, references) = (SmallTensors.doubles(result), SmallTensors.doubles(expected))
    let relative = result.dtype == .bfloat16 ? 1e-2 : 1e-3
    for (index, (value, reference)) in zip(values, references).enumerated() {
      if value == reference || (value.isNaN && reference.isNaN) { continue }
      guard abs(value - reference) <= 1e-7 + relative * abs(reference) else {
        return "element \(index) is \(value), not \(reference) (shape \(result.shape))"
      }
    }
    return nil
  }

  private static func tensors(_ folder: String, _ prefix: String, _ count: Int) throws -> [Tensor] {
    try (0..<count).map { index in
      let path = "\(folder)/\(prefix)\(index).pb"
      let storage = try MappedFile(path: path).storage
      let proto = try ONNXParser.tensor(WireReader(storage, 0..<storage.byteCount, path: path))
      var reader = ONNXTensorReader(storage, directory: nil)
      return try reader.read(proto)
    }
  }

  private static func entries(_ folder: String) throws -> [String] {
    guard let directory = opendir(folder) else {
      throw MartletError(.io, "cannot list \(folder)")
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      names.append(name)
    }
    return names.sorted()
  }
}
