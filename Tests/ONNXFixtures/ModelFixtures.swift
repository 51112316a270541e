import Glibc
import MartletCore
import MartletGraph
import MartletRuntime

extension Model {
  /// The model of these bytes, of which the graph was verified.
  package static func load(
    _ bytes: [UInt8], options: Options = Options()
  ) throws(MartletError) -> Model {
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
    precondition(parsed.text.text == text.text, "the text of a model does not read back")
    return model
  }
}

extension Tensor {
  package static func floats(_ shape: [Int], _ values: [Float]) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .float32, shape)
    for index in 0..<tensor.count { tensor.typed(Float.self)[index] = values[index % values.count] }
    return tensor
  }

  /// The elements in row-major order.
  package var floats: [Float] {
    guard let dense = isContiguous ? self : try? copied() else { return [] }
    return (0..<count).map { dense.typed(Float.self)[$0] }
  }
}

/// The error that `body` throws; nil when it throws none, or one of another kind.
package func martletError(_ body: () throws -> Void) -> MartletError? {
  do { try body() } catch { return error as? MartletError }
  return nil
}

/// A directory that is removed when the last reference goes.
package final class TemporaryDirectory {
  package let path: String

  package init() {
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
  package func write(_ name: String, _ bytes: [UInt8]) -> String {
    let file = path + "/" + name
    guard let stream = fopen(file, "wb") else { return file }
    fwrite(bytes, 1, bytes.count, stream)
    fclose(stream)
    return file
  }
}
