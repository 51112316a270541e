import MartletCore

/// Files that people take for models and that are none that Martlet reads, known by their first bytes.
///
/// Asked where reading has failed, so that no model is refused for looking like something else.
package struct ForeignFile: Sendable {
  /// What it is, as in "this is a GGUF file".
  package let name: String
  /// What may be done about it.
  package let advice: String
  private let matches: @Sendable (Head) -> Bool

  private init(
    _ name: String, _ advice: String = "Martlet reads ONNX models",
    _ matches: @escaping @Sendable (Head) -> Bool
  ) {
    (self.name, self.advice, self.matches) = (name, advice, matches)
  }

  /// What the bytes are, or nil where nobody knows.
  package static func recognize(_ storage: Storage) -> ForeignFile? {
    let head = Head(
      bytes: UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount))
    return all.first { $0.matches(head) }
  }

  package var isPicture: Bool { name.hasPrefix("a picture") }
  /// Whether it is text of whatever kind, such as numbers.
  package var isText: Bool { name == "text" }

  /// The error of reading it as `format`.
  func error(_ source: String, format: String) -> MartletError {
    MartletError(
      .invalidModel, "\(source): this is \(name), not an \(format) model; \(advice)",
      expected: "an \(format) model", actual: name)
  }

  private static let export = "export the model to ONNX where it was made"
  private static let unpack = "unpack it first"
  private static let download = "download the model again, and look at what the server says"

  /// One line each; the first that matches.
  private static let all: [ForeignFile] = [
    ForeignFile("a GGUF file (llama.cpp)") { $0.starts("GGUF") },
    ForeignFile("a GGML file (llama.cpp's older form)") {
      $0.starts("tjgg") || $0.starts("lmgg") || $0.starts("fmgg")
    },
    ForeignFile("a pointer of git-lfs", "fetch the file itself with git lfs pull") {
      $0.starts("version https://git-lfs")
    },
    ForeignFile("a safetensors file: weights without a graph", export) { $0.isSafetensors },
    ForeignFile("a PyTorch file (ZIP)", "export the model with torch.onnx.export") {
      $0.isZIP && ["data.pkl", "constants.pkl", "archive_format"].contains(where: $0.zipEntryHas)
    },
    ForeignFile("a PyTorch file (pickle)", "export the model with torch.onnx.export") {
      $0.starts([0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8])
    },
    ForeignFile("NumPy arrays (.npz)", "arrays are inputs of a model") {
      $0.isZIP && $0.zipEntryHas(".npy")
    },
    ForeignFile("a NumPy array (.npy)", "arrays are inputs of a model") {
      $0.starts([0x93] + Array("NUMPY".utf8))
    },
    ForeignFile("a ZIP archive", unpack) { $0.isZIP },
    ForeignFile("a gzip file", unpack) { $0.starts([0x1F, 0x8B]) },
    ForeignFile("an xz file", unpack) { $0.starts([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) },
    ForeignFile("a Zstandard file", unpack) { $0.starts([0x28, 0xB5, 0x2F, 0xFD]) },
    ForeignFile("a bzip2 file", unpack) { $0.starts("BZh") },
    ForeignFile("a 7-Zip archive", unpack) { $0.starts([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C]) },
    ForeignFile("a tar archive", unpack) { $0.starts("ustar", at: 257) },
    ForeignFile("an HTML page", download) {
      $0.text.hasPrefix("<!doctype html") || $0.text.hasPrefix("<html")
        || $0.text.hasPrefix("<head")
    },
    ForeignFile(
      "an XML file", "it may be a server's error, or the graph of an OpenVINO model; \(export)"
    ) { $0.text.hasPrefix("<?xml") || $0.text.hasPrefix("<error") },
    ForeignFile("a TensorFlow Lite model", export) { $0.starts("TFL3", at: 4) },
    ForeignFile(
      "a model in ONNX Runtime's own form (.ort)", "take the ONNX model that it was made from"
    ) { $0.starts("ORTM", at: 4) },
    ForeignFile("an HDF5 file (Keras)", export) {
      $0.starts([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A])
    },
    ForeignFile("a picture (PNG)", "pictures are inputs of a model") {
      $0.starts([0x89, 0x50, 0x4E, 0x47])
    },
    ForeignFile("a picture (JPEG)", "pictures are inputs of a model") {
      $0.starts([0xFF, 0xD8, 0xFF])
    },
    ForeignFile("a PDF document") { $0.starts("%PDF-") },
    ForeignFile("a program or library (ELF)") { $0.starts([0x7F, 0x45, 0x4C, 0x46]) },
    ForeignFile("a Python pickle", export) { $0.isPickle },
    ForeignFile(
      "a model in Protocol Buffers' text form",
      "write it as binary: onnx.save(onnx.load(path, format=\"textproto\"), \"model.onnx\")"
    ) { $0.isText && $0.text.hasPrefix("ir_version:") },
    ForeignFile(
      "JSON", "it may be a server's error, or settings that belong to a model; \(download)"
    ) { $0.isText && ($0.text.hasPrefix("{") || $0.text.hasPrefix("[")) },
    ForeignFile("nothing but zeros", "download or copy the model again") { $0.isZeros },
    ForeignFile("text", "download the model again, or look at what it says") { $0.isText },
  ]
}

/// The first bytes of a file.
private struct Head {
  /// All of them; no more than a few hundred are looked at.
  let bytes: UnsafeRawBufferPointer

  func starts(_ text: String, at offset: Int = 0) -> Bool { starts(Array(text.utf8), at: offset) }

  func starts(_ expected: [UInt8], at offset: Int = 0) -> Bool {
    bytes.count >= offset + expected.count
      && bytes[offset..<offset + expected.count].elementsEqual(expected)
  }

  /// Letters in lower case, without what is white at the start.
  var text: String {
    var start = starts([0xEF, 0xBB, 0xBF]) ? 3 : 0
    while start < min(bytes.count, 256), [0x20, 0x09, 0x0A, 0x0D].contains(bytes[start]) {
      start += 1
    }
    let some = bytes[start..<min(bytes.count, start + 32)].map { byte in
      (0x41...0x5A).contains(byte) ? byte + 0x20 : byte
    }
    return String(decoding: some, as: UTF8.self)
  }

  /// Whether it looks like text: no control characters, and more than a word.
  var isText: Bool {
    bytes.count >= 8
      && bytes.prefix(512).allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || (0x09...0x0D).contains($0) }
      && bytes.prefix(16).allSatisfy { $0 < 0x7F || starts([0xEF, 0xBB, 0xBF]) }
  }

  var isZeros: Bool { bytes.count >= 8 && bytes.prefix(512).allSatisfy { $0 == 0 } }

  /// The length of a JSON object, which begins with a name, and as many bytes at least.
  var isSafetensors: Bool {
    guard bytes.count > 10, bytes[8] == 0x7B, bytes[9] == 0x22 || bytes[9] == 0x7D else {
      return false
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    return length >= 2 && length <= UInt64(bytes.count - 8)
  }

  var isZIP: Bool { starts([0x50, 0x4B, 0x03, 0x04]) || starts([0x50, 0x4B, 0x05, 0x06]) }

  /// Whether the first entry's name has `part` in it.
  func zipEntryHas(_ part: String) -> Bool {
    guard bytes.count > 30 else { return false }
    let length = Int(bytes[26]) | Int(bytes[27]) << 8
    let name = UnsafeRawBufferPointer(rebasing: bytes[30..<min(bytes.count, 30 + length)])
    return name.withMemoryRebound(to: UInt8.self) {
      ByteSearch(Array(part.utf8)).first(in: $0, from: 0) != nil
    }
  }

  /// A protocol from 2 to 5, and the stop at the end.
  var isPickle: Bool {
    bytes.count > 2 && bytes[0] == 0x80 && (2...5).contains(bytes[1]) && bytes.last == 0x2E
  }
}
