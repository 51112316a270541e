import Glibc
import MartletCore
import MartletGraph
import Testing

@testable import MartletImport

extension Model {
  static func load(_ bytes: [UInt8], options: Options = Options()) throws(MartletError) -> Model {
    // A closure that throws a typed error cannot pass through withUnsafeBytes.
    let copy = try Storage(byteCount: bytes.count)
    for (index, byte) in bytes.enumerated() {
      copy.base.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
    }
    let model = try load(
      bytes: UnsafeRawBufferPointer(start: copy.base, count: bytes.count), options: options)
    try model.graph.verify()
    // The text of every model reads back.
    let text = model.graph.text
    let parsed = try Graph(parsing: text.text, constants: text.constants)
    #expect(parsed.text.text == text.text)
    return model
  }
}

extension Tensor {
  static func floats(_ shape: [Int], _ values: [Float]) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .float32, shape)
    for index in 0..<tensor.count { tensor.typed(Float.self)[index] = values[index % values.count] }
    return tensor
  }

  /// The elements in row-major order.
  var floats: [Float] {
    guard let dense = isContiguous ? self : try? copied() else { return [] }
    return (0..<count).map { dense.typed(Float.self)[$0] }
  }
}

/// The error that `body` throws; records an issue when it throws none.
func martletError(
  _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
) -> MartletError? {
  do {
    try body()
  } catch let error as MartletError {
    return error
  } catch {
    Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    return nil
  }
  Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  return nil
}

/// A directory that is removed when the last reference goes.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("/tmp/martlet-tests-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress, let made = mkdtemp(base) else { return "/tmp" }
      return String(cString: made)
    }
  }

  deinit {
    guard path != "/tmp", let directory = opendir(path) else { return }
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      unlink(path + "/" + name)
    }
    closedir(directory)
    rmdir(path)
  }

  /// Writes a file and gives its path.
  func write(_ name: String, _ bytes: [UInt8]) -> String {
    let file = path + "/" + name
    guard let stream = fopen(file, "wb") else { return file }
    fwrite(bytes, 1, bytes.count, stream)
    fclose(stream)
    return file
  }
}
