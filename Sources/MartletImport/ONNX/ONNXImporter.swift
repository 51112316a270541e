import MartletCore
import MartletGraph

/// Reads ONNX models into graphs.
package enum ONNXImporter {
  /// Parses and converts a model; its initialisers stay views of `storage`.
  static func read(
    _ storage: Storage, source: String, externalDataDirectory: String?,
    progress: ProgressCallback?
  ) throws(MartletError) -> (Graph, Model.Metadata) {
    throw MartletError(.unsupported, "the ONNX reader has not been built in yet")
  }
}
