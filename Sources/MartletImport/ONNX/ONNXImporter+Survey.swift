import MartletCore
import MartletOperators

extension ONNXImporter {
  /// What a model holds, its operators marked that are not supported.
  ///
  /// Throws `invalidModel` where the file cannot be parsed.
  package static func survey(_ source: ModelSource) throws(MartletError) -> ModelSurvey {
    let model = try ONNXParser.model(source.storage, source: source.name)
    var survey = ModelSurvey()
    survey.metadata = metadata(model)
    guard let graph = model.graph else { return survey }
    // Converting finds what older forms need beyond the table; how far it comes does not matter.
    var converter = ONNXConverter(
      model, ONNXTensorReader(source.storage, directory: source.directory), progress: nil)
    try? converter.convert(graph, as: ModelReading(), permitsReplacing: false)
    let missing = converter.missingOperators
    let functions = Set(model.functions.map { OperatorID($0.name, domain: $0.domain) })

    var counts: [OperatorID: Int] = [:]
    graph.countOperators(&counts)
    for node in model.functions.flatMap(\.nodes) { node.countOperators(&counts) }
    survey.operators = counts.map { op, count in
      ModelSurvey.Operators(
        name: op.description, count: count,
        isSupported: functions.contains(op)
          || ONNXTable.lookup(op) != nil && !missing.contains(op))
    }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }

    let initializers = Set(graph.initializers.map(\.name) + graph.sparseInitializers.map(\.name))
    survey.inputs = graph.inputs.filter { !initializers.contains($0.name) }.map { info in
      ModelSurvey.Port(name: info.name, type: try? ONNXConverter.type(info, "input"))
    }
    survey.outputs = graph.outputs.map { info in
      ModelSurvey.Port(name: info.name, type: try? ONNXConverter.type(info, "output"))
    }
    for tensor in graph.initializers {
      guard let dtype = Int32(exactly: tensor.dataType).flatMap(DType.init(rawValue:)),
        let elements = try? Shape.elementCount(tensor.dims),
        let bytes = try? Shape.byteCount(tensor.dims, dtype)
      else { continue }
      survey.constantElements = survey.constantElements.addingReportingOverflow(elements).0
      survey.constantBytes = survey.constantBytes.addingReportingOverflow(bytes).0
    }
    return survey
  }
}

extension ONNXGraph {
  fileprivate func countOperators(_ counts: inout [OperatorID: Int]) {
    for node in nodes { node.countOperators(&counts) }
  }
}

extension ONNXNode {
  fileprivate func countOperators(_ counts: inout [OperatorID: Int]) {
    counts[op, default: 0] += 1
    for attribute in attributes {
      if case .graph(let graph) = attribute.value { graph.countOperators(&counts) }
    }
  }
}
