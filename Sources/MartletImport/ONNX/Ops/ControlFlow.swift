import MartletCore
import MartletGraph
import MartletOperators

/// Loop, Scan and SequenceMap: their bodies become regions.
enum ControlFlow {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    try converter.emitWithRegions(node.op, for: node)
  }
}

/// If: where its condition is known before the run, the branch takes its place; else the branches
/// become regions.
enum IfForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    guard let thenBranch = node.graphs["then_branch"], let elseBranch = node.graphs["else_branch"]
    else { throw node.error(.invalidModel, "a branch is missing") }
    guard let condition = node.input(0) else {
      throw node.error(.invalidModel, "input 'cond' is missing", input: "cond")
    }
    guard let value = try converter.graph.evaluate(condition, &converter.makers),
      value.dtype == .bool, value.count == 1
    else {
      return try converter.emitWithRegions(
        "If", missing: "If with a condition computed at run time", for: node)
    }
    try converter.inline(value.typed(UInt8.self)[0] != 0 ? thenBranch : elseBranch, node)
  }
}

/// Scan; the batch of its version 8 becomes a Scan around it.
enum ScanForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    guard node.opset < 9 else {
      return try converter.emitWithRegions("Scan", for: node)
    }
    guard node.input(0) == nil else {
      return converter.note(missing: "Scan-8 with sequence_lens", node)
    }
    var node = node
    node.inputs = Array(node.inputs.dropFirst())
    let scanned = try node.takeInt("num_scan_inputs") ?? 0
    guard scanned >= 1, scanned <= node.inputs.count else {
      throw node.error(
        .invalidModel, "num_scan_inputs is \(scanned), expected 1...\(node.inputs.count)",
        input: "num_scan_inputs")
    }
    var attributes: [String: AttributeValue] = ["num_scan_inputs": .int(scanned)]
    if let directions = try node.takeInts("directions") {
      attributes["scan_input_directions"] = .ints(directions)
    }
    let body = try converter.region("body", of: node)
    var sample = Graph(name: "sample")
    var inputs: [ValueID?] = []
    for index in node.inputs.indices { inputs.append(sample.addInput("in\(index)", nil, nil)) }
    var captures: [ValueID] = []
    for index in body.captures.indices {
      captures.append(sample.addInput("capture\(index)", nil, nil))
    }
    let outputs = sample.addNode(
      "Scan", name: node.name, inputs: inputs,
      outputs: body.graph.outputs.indices.map { "out\($0)" }, attributes: attributes,
      regions: [Region(name: "body", graph: body.graph, captures: captures)])
    sample.outputs = outputs.map { GraphOutput(name: sample.values[$0].name, value: $0) }
    try converter.emit(
      "Scan", node.inputs, ["num_scan_inputs": .int(node.inputs.count)],
      regions: [Region(name: "body", graph: sample, captures: body.captures)], for: node)
  }
}
