import ArgumentParser
import MartletCore
import MartletGraph
import MartletImport
import MartletOperators
import MartletRuntime

/// `martlet inspect MODEL`: what is in a model file.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Prints a model's inputs, outputs, operators, size and what the passes did to it.",
    discussion: """
      A model that cannot be run here is printed too, with the operators marked that are missing.
      """)

  @Argument(help: "The .onnx file; - is standard input.", completion: .file(extensions: ["onnx"]))
  var model: String

  @Flag(help: "Print the graph that runs, node by node.")
  var graph = false

  @Flag(help: "Leave the graph as it is in the file.")
  var unoptimized = false

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try Console.reporting {
      var options = Model.Options()
      if unoptimized { options.optimizationLevel = 0 }
      // What is printed needs no weights packed.
      options.preparesAtFirstRun = true
      let file = try ModelFile(model)
      do throws(MartletError) {
        let loaded = try file.load(options)
        try Console.output(json ? document(loaded).text : text(loaded))
      } catch {
        guard error.code == .unsupported, let survey = try? file.survey() else { throw error }
        let report = SurveyReport(survey: survey, refusal: error)
        try Console.output(json ? report.document.text : report.text)
        Console.warn("\(file.name) cannot be run here: what is missing is marked")
        if graph { Console.warn("--graph prints the graph that runs, of which there is none") }
      }
    }
  }

  private func operatorCounts(_ model: Model) -> [(name: String, count: Int)] {
    var counts: [String: Int] = [:]
    for node in model.graph.nodes { counts[node.op.description, default: 0] += 1 }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  private func constants(_ model: Model) -> (elements: Int, bytes: Int) {
    model.graph.values.reduce(into: (0, 0)) { total, value in
      guard let tensor = value.constant else { return }
      total.0 += tensor.count
      total.1 += tensor.byteCount
    }
  }

  static func facts(_ metadata: ModelMetadata) -> [(String, String)] {
    let opsets = metadata.opsets.sorted { $0.key < $1.key }.map {
      "\($0.key.isEmpty ? "ai.onnx" : $0.key) \($0.value)"
    }
    return [
      ("format", metadata.format),
      ("producer", "\(metadata.producerName) \(metadata.producerVersion)"),
      ("graph", metadata.graphName), ("opsets", opsets.joined(separator: ", ")),
    ].filter { !$0.1.allSatisfy(\.isWhitespace) }
  }

  private func text(_ model: Model) -> String {
    var lines = InspectCommand.facts(model.metadata).map { "\($0.0): \($0.1)" }
    let (elements, bytes) = constants(model)
    lines.append("constants: \(elements) elements, \((Double(bytes) / 1e6).fixed(1)) MB")
    var ports = TextTable(["", "name", "dtype", "shape"])
    for port in model.inputs { ports.add(["input"] + port.cells) }
    for port in model.outputs { ports.add(["output"] + port.cells) }
    var operators = TextTable(["operator", "nodes"], numeric: 1..<2)
    for (name, count) in operatorCounts(model) { operators.add([name, "\(count)"]) }
    var passes = TextTable(["pass", "nodes before", "after"], numeric: 1..<3)
    for pass in model.passReport {
      passes.add([pass.name, "\(pass.nodesBefore)", "\(pass.nodesAfter)"])
    }
    lines += ["", ports.text, "", operators.text]
    if !model.passReport.isEmpty { lines += ["", passes.text] }
    if graph { lines += ["", model.graph.description] }
    return lines.joined(separator: "\n")
  }

  private func document(_ model: Model) -> JSON {
    let (elements, bytes) = constants(model)
    var members: [(String, JSON)] = InspectCommand.facts(model.metadata).map {
      ($0.0, .string($0.1))
    }
    members += [
      ("runs", .bool(true)),
      ("inputs", .array(model.inputs.map(\.document))),
      ("outputs", .array(model.outputs.map(\.document))),
      ("constant_elements", .int(elements)), ("constant_bytes", .int(bytes)),
      ("operators", .object(operatorCounts(model).map { ($0.name, .int($0.count)) })),
      (
        "passes",
        .array(
          model.passReport.map {
            .object([
              ("name", .string($0.name)), ("nodes_before", .int($0.nodesBefore)),
              ("nodes_after", .int($0.nodesAfter)),
            ])
          })
      ),
      (
        "properties",
        .object(model.metadata.properties.map { ($0.key, .string($0.value)) })
      ),
    ]
    if graph { members.append(("graph", .string(model.graph.description))) }
    return .object(members)
  }
}

extension Model.Port {
  fileprivate var cells: [String] { PortCells.cells(name, ValueType(kind)) }
  fileprivate var document: JSON { PortCells.document(name, ValueType(kind)) }
}

/// An input or output as it is printed.
enum PortCells {
  static func cells(_ name: String, _ type: ValueType?) -> [String] {
    let extents = type?.shape.map { "[" + $0.map(\.description).joined(separator: ", ") + "]" }
    guard let kind = type?.kind, case .tensor = kind else {
      return [name, type?.kind.text ?? "not supported", ""]
    }
    return [name, type?.dtype.map { "\($0)" } ?? "?", extents ?? "?"]
  }

  static func document(_ name: String, _ type: ValueType?) -> JSON {
    let extents = type?.shape.map { shape in
      JSON.array(
        shape.map { dimension in
          switch dimension {
          case .known(let value): .int(value)
          case .symbol(let name): .string(name)
          case .expression(let expression): .string(expression.description)
          case .unknown: .null
          }
        })
    }
    return .object([
      ("name", .string(name)), ("dtype", .optional(type?.dtype.map { "\($0)" })),
      ("shape", extents ?? .null), ("type", .optional(type?.kind.text)),
    ])
  }
}
