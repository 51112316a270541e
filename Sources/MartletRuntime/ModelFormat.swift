import MartletCore
import MartletGraph
import MartletImport

/// A file format that models are read from.
package struct ModelFormat: Sendable {
  package let name: String
  /// Whether a file may be of this format, by its first bytes.
  let recognizes: @Sendable (_ head: UnsafeRawBufferPointer) -> Bool
  /// Reads the graph and what the file says of itself.
  let read:
    @Sendable (ModelSource, ModelReading, ProgressCallback?) throws(MartletError) -> (
      graph: Graph, metadata: ModelMetadata
    )
  /// What a file holds, also where it needs what Martlet lacks.
  let survey: @Sendable (ModelSource) throws(MartletError) -> ModelSurvey

  /// All formats, one line each. A file is of the first that recognises it.
  package static let all: [ModelFormat] = [
    // Last: files of Protocol Buffers have no mark of their own, and its reader says what is amiss.
    ModelFormat(
      name: "ONNX", recognizes: { _ in true }, read: ONNXImporter.read(_:as:progress:),
      survey: ONNXImporter.survey(_:))
  ]

  /// The format of `source`; throws `invalidModel` where none recognises it.
  package static func of(_ source: ModelSource) throws(MartletError) -> ModelFormat {
    if let format = all.first(where: { $0.recognizes(source.head) }) { return format }
    let names = all.map(\.name).joined(separator: ", ")
    throw MartletError(
      .invalidModel, "\(source.name) is of none of the formats that are known: \(names)",
      expected: names)
  }
}
