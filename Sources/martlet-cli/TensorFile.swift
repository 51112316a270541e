import MartletCore
import MartletImport

/// A file of arrays, by what is in it.
enum TensorFile {
  case array(Tensor)
  case arrays([(name: String, tensor: Tensor)])
  /// Numbers as text: the input that they are for says what they are.
  case table(CSVFile)

  /// Reads a file, or standard input (`-`).
  ///
  /// Throws `notFound` and `io`; `invalidModel` for what is damaged or none of these.
  init(_ path: String) throws(MartletError) {
    let file = try OpenFile(reading: path)
    guard file.byteCount > 0 else {
      throw MartletError(
        .invalidModel, "\(file.name) is empty", expected: "an array", actual: "0 bytes")
    }
    if NumPyFile.recognizes(try file.head(8)) {
      self = .array(try NumPyFile.read(file))
      return
    }
    let contents = try file.rest()
    guard ZIPArchive.recognizes(contents) else {
      if let foreign = ForeignFile.recognize(contents), !foreign.isText {
        let advice = foreign.isPicture ? "; give pictures by --image" : ""
        throw MartletError(
          .invalidModel, "\(file.name): this is \(foreign.name), not .npy, .npz or .csv\(advice)",
          expected: ".npy, .npz or .csv", actual: foreign.name)
      }
      self = .table(try CSVFile(contents, name: file.name))
      return
    }
    do throws(MartletError) {
      self = .arrays(try TensorFile.arrays(contents, file.name))
    } catch {
      var error = error
      if !error.message.contains(file.name) { error.message = "\(file.name): \(error.message)" }
      throw error
    }
  }

  private static func arrays(_ contents: Storage, _ name: String) throws(MartletError) -> [(
    name: String, tensor: Tensor
  )] {
    let archive = try ZIPArchive(contents)
    var arrays: [(name: String, tensor: Tensor)] = []
    for entry in archive.entries where entry.name.hasSuffix(".npy") {
      let file = OpenFile(
        contents: try archive.contents(entry), name: "\(name), array \(entry.name)")
      arrays.append((String(entry.name.dropLast(4)), try NumPyFile.read(file)))
    }
    guard !arrays.isEmpty else {
      throw MartletError(
        .invalidModel, "a ZIP archive without arrays", expected: "an .npz file")
    }
    return arrays
  }
}
