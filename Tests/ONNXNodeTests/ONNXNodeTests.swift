import Glibc
import MartletBackends
import MartletCore
import MartletGraph
import MartletOperators
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
    "test_dft_inverse": noise, "test_dft_inverse_opset19": noise,
    "test_l2normalization_axis_0": "newer ONNX defines a slice of norm 0 as 0, not NaN",
    "test_qlinearmatmul_2D_int8_float16": wraps, "test_qlinearmatmul_2D_int8_float32": wraps,
    "test_qlinearmatmul_3D_int8_float16": wraps, "test_qlinearmatmul_3D_int8_float32": wraps,
    "test_training_dropout": "random", "test_training_dropout_mask": "random",
    "test_training_dropout_default": "random", "test_training_dropout_default_mask": "random",
  ]

  private static let noise = "a number of the data is the rounding error of a 0"
  private static let wraps = "the data wrap around; the operator saturates, as its text says"

  private static func run(_ folder: String) -> Outcome {
    do {
      let model = try Model.load(path: "\(folder)/model.onnx")
      try readsBack(model.graph)
      let session = model.makeRun()
      for set in try entries(folder).filter({ $0.hasPrefix("test_data_set_") }) {
        let inputs = try values("\(folder)/\(set)/input_", model.inputs.map(\.kind))
        let expected = try values("\(folder)/\(set)/output_", model.outputs.map(\.kind))
        // The second and third run find their memory laid out.
        for _ in 0..<3 {
          let results = try session.run(values: inputs)
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

  private static func difference(_ result: Value, _ expected: Value) -> String? {
    switch (result, expected) {
    case (.tensor(let result), .tensor(let expected)): return difference(result, expected)
    case (.sequence(let result), .sequence(let expected)):
      guard result.elements.count == expected.elements.count else {
        return "\(result.elements.count) elements, not \(expected.elements.count)"
      }
      for (index, pair) in zip(result.elements, expected.elements).enumerated() {
        if let difference = difference(pair.0, pair.1) { return "element \(index): \(difference)" }
      }
      return nil
    case (.optional(nil), .optional(nil)): return nil
    case (.optional(let result?), .optional(let expected?)): return difference(result, expected)
    default: return "\(result.summary), not \(expected.summary)"
    }
  }

  /// ONNX's own tolerances: 1e-3 relative, 1e-7 absolute.
  private static func difference(_ result: Tensor, _ expected: Tensor) -> String? {
    guard result.dtype == expected.dtype else { return "\(result.dtype), not \(expected.dtype)" }
    guard result.shape == expected.shape else {
      return "shape \(result.shape), not \(expected.shape)"
    }
    if result.dtype == .string {
      return result.strings == expected.strings ? nil : "\(result.strings), not \(expected.strings)"
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

  // MARK: - The files of a case

  private static func values(_ prefix: String, _ kinds: [ValueKind]) throws -> [Value] {
    try kinds.enumerated().map { index, kind in
      let path = "\(prefix)\(index).pb"
      let storage = try MappedFile(path: path).storage
      return try value(WireReader(storage, 0..<storage.byteCount, path: path), kind, storage)
    }
  }

  /// The value in a TensorProto, SequenceProto or OptionalProto, as the kind says.
  private static func value(
    _ message: WireReader, _ kind: ValueKind, _ storage: Storage
  ) throws -> Value {
    var message = message
    switch kind {
    case .tensor:
      var reader = ONNXTensorReader(storage, directory: nil)
      return .tensor(try reader.read(try ONNXParser.tensor(message)))
    case .sequence(let element):
      var elements: [Value] = []
      while let field = try message.next() {
        // tensor_values, sequence_values, optional_values.
        if [3, 5, 7].contains(field.number) {
          elements.append(try value(try message.message(field, "value"), element, storage))
        } else {
          try message.skip(field)
        }
      }
      return .sequence(try ValueSequence(elements))
    case .optional(let element):
      var content: Value?
      while let field = try message.next() {
        // tensor_value, sequence_value.
        if [3, 5].contains(field.number) {
          content = try value(try message.message(field, "value"), element, storage)
        } else {
          try message.skip(field)
        }
      }
      return .optional(content)
    case .map:
      throw MartletError(.unsupported, "cases with maps are not read")
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
