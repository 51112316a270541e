import MartletCore
import MartletGraph

/// Reads ONNX models into graphs.
package enum ONNXImporter {
  /// Parses and converts a model; its initialisers stay views of the source.
  ///
  /// Throws `invalidModel` naming the field and byte or the node and value; `unsupported` naming
  /// all operators that are missing; `io` for external data that cannot be read; `cancelled`.
  package static func read(
    _ source: ModelSource, as reading: ModelReading = ModelReading(), progress: ProgressCallback?
  ) throws(MartletError) -> (graph: Graph, metadata: ModelMetadata) {
    guard source.storage.byteCount > 0 else {
      throw MartletError(
        .invalidModel, "\(source.name) is empty", expected: "a model", actual: "0 bytes")
    }
    try Progress.report("read", 0, of: 1, to: progress)
    let model = try ONNXParser.model(source.storage, source: source.name)
    try Progress.report("read", 1, of: 1, to: progress)
    do throws(MartletError) {
      try checkVersions(model)
      var converter = ONNXConverter(
        model, ONNXTensorReader(source.storage, directory: source.directory), progress: progress)
      // Before version 4 all initialisers had to be inputs, and none was meant to be replaced.
      let permitsReplacing = model.irVersion >= 4
      if let graph = model.graph {
        try converter.convert(graph, as: reading, permitsReplacing: permitsReplacing)
      }
      return (converter.graph, metadata(model))
    } catch {
      var error = error
      if error.code != .cancelled { error.message = "\(source.name): \(error.message)" }
      throw error
    }
  }

  private static func checkVersions(_ model: ONNXModel) throws(MartletError) {
    guard let opset = model.opsets[""] ?? (model.irVersion < 3 ? 1 : nil) else {
      // Models of other domains alone are fine as long as no node is of the default one.
      let usesDefault = model.graph?.nodes.contains { $0.domain.isEmpty || $0.domain == "ai.onnx" }
      guard usesDefault == true else { return }
      throw MartletError(
        .invalidModel, "the model does not say its operator set (opset_import) for ai.onnx",
        expected: "opset_import")
    }
    guard opset >= 1 else {
      throw MartletError(.invalidModel, "opset \(opset) does not exist", actual: "\(opset)")
    }
    guard opset <= ONNXConverter.newestOpset else {
      throw MartletError(
        .unsupported,
        "the model is of opset \(opset); opsets up to \(ONNXConverter.newestOpset) are supported",
        expected: "opset <= \(ONNXConverter.newestOpset)", actual: "\(opset)")
    }
  }

  static func metadata(_ model: ONNXModel) -> ModelMetadata {
    var metadata = ModelMetadata()
    metadata.format = "ONNX"
    metadata.producerName = model.producerName
    metadata.producerVersion = model.producerVersion
    metadata.domain = model.domain
    metadata.modelVersion = model.modelVersion
    metadata.irVersion = model.irVersion
    metadata.graphName = model.graph?.name ?? ""
    metadata.documentation = model.documentation
    metadata.opsets = model.opsets
    metadata.properties = model.properties
    return metadata
  }
}
