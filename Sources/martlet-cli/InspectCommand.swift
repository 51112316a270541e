import ArgumentParser
import MartletCore
import MartletGraph
import MartletOperators
import MartletRuntime

/// `martlet inspect MODEL`: what is in a model file.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Prints a model's inputs, outputs, operators, size and what the passes did to it.")

  @Argument(help: "The .onnx file.", completion: .file(extensions: ["onnx"]))
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
      let loaded = try Model.loadShowingProgress(model, options: options)
      try Console.output(json ? document(loaded).text : text(loaded))
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

  private func facts(_ model: Model) -> [(String, String)] {
    let metadata = model.metadata
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
    var lines = facts(model).map { "\($0.0): \($0.1)" }
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
    var members: [(String, JSON)] = facts(model).map { ($0.0, .string($0.1)) }
    members += [
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
  fileprivate var cells: [String] {
    let extents = shape.map { "[" + $0.map(\.description).joined(separator: ", ") + "]" }
    return [name, dtype.map { "\($0)" } ?? "?", extents ?? "?"]
  }

  fileprivate var document: JSON {
    let extents = shape.map { shape in
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
      ("name", .string(name)), ("dtype", .optional(dtype.map { "\($0)" })),
      ("shape", extents ?? .null),
    ])
  }
}
