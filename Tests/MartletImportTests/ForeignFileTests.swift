import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct ForeignFileTests {
  private static func text(_ text: String, _ more: [UInt8] = []) -> [UInt8] {
    Array(text.utf8) + more
  }

  private static func zip(_ entry: String) -> [UInt8] {
    [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 22)
      + [UInt8(entry.utf8.count), 0, 0, 0] + Array(entry.utf8)
  }

  private static let files: [([UInt8], String)] = [
    (text("GGUF", [3, 0, 0, 0, 1]), "a GGUF file (llama.cpp)"),
    (text("lmgg", [1, 0, 0, 0]), "a GGML file"),
    (text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a pointer of git-lfs"),
    ([4, 0, 0, 0, 0, 0, 0, 0] + text("{\"\"}"), "a safetensors file"),
    ([8, 0, 0, 0, 0, 0, 0, 0] + text("{\"a\":{} }"), "a safetensors file"),
    (zip("archive/data.pkl"), "a PyTorch file (ZIP)"),
    (
      [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50],
      "a PyTorch file (pickle)"
    ),
    (zip("image.npy"), "NumPy arrays (.npz)"), (zip("model.onnx"), "a ZIP archive"),
    ([0x93] + text("NUMPY", [1, 0]), "a NumPy array"), ([0x1F, 0x8B, 8, 0], "a gzip file"),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "an xz file"),
    ([0x28, 0xB5, 0x2F, 0xFD], "a Zstandard file"),
    (text("BZh91AY"), "a bzip2 file"), ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "a 7-Zip archive"),
    ([UInt8](repeating: 0x61, count: 257) + text("ustar"), "a tar archive"),
    (text("<!DOCTYPE html><html>"), "an HTML page"), (text("\n <HTML lang=en>"), "an HTML page"),
    (text("<?xml version=\"1.0\"?>"), "an XML file"), (text("<Error><Code>"), "an XML file"),
    ([0x1C, 0, 0, 0] + text("TFL3"), "a TensorFlow Lite model"),
    ([0x1C, 0, 0, 0] + text("ORTM"), "ONNX Runtime's own form"),
    ([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A], "an HDF5 file"),
    ([0x89, 0x50, 0x4E, 0x47, 0x0D], "a picture (PNG)"),
    ([0xFF, 0xD8, 0xFF, 0xE0], "a picture (JPEG)"),
    (text("%PDF-1.7"), "a PDF"), ([0x7F, 0x45, 0x4C, 0x46, 2], "a program or library"),
    ([0x80, 4, 0x95, 0x2E], "a Python pickle"),
    (text("ir_version: 8\nproducer_name: \"x\""), "text form"),
    (text("{\"error\": \"not found\"}"), "JSON"),
    ([UInt8](repeating: 0, count: 64), "nothing but zeros"),
    (text("404: Not Found\n"), "this is text"),
  ]

  @Test(arguments: files)
  func `a file that is no model is named, with what to do`(bytes: [UInt8], name: String) {
    let error = martletError { _ = try Model.load(bytes) }
    #expect(error?.code == .invalidModel)
    #expect(error?.message.contains("this is") == true, "\(error?.message ?? "")")
    #expect(error?.message.contains(name) == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("not an ONNX model; ") == true)
    #expect(error?.message.hasPrefix("model in memory: ") == true)
  }

  @Test(arguments: files)
  func `what is cut off is still an error`(bytes: [UInt8], name: String) {
    for length in 0..<min(bytes.count, 300) {
      #expect(throws: MartletError.self) { try Model.load(Array(bytes[..<length])) }
    }
  }

  @Test func `a model is one, whatever its first names are`() throws {
    // Field 2 first, whose text looks like another format's mark.
    let model = ONNXEncoder.model(
      ONNXEncoder.graph(
        [ONNXEncoder.node("Relu", ["x"], ["y"])], inputs: [ONNXEncoder.value("x", 1, ["2"])],
        outputs: [ONNXEncoder.value("y", 1, ["2"])]))
    let named = Message.build { $0.string(2, "{\"GGUF\"} <html>") }.bytes + model
    #expect(try Model.load(named).inputs.count == 1)
  }

  @Test func `external data that was not fetched is named`() throws {
    let folder = TemporaryDirectory()
    _ = folder.write("w.bin", Array("version https://git-lfs.github.com/spec/v1\noid 0".utf8))
    let weight = Message.build {
      $0.integers(1, [1000])
      $0.integer(2, 1)
      $0.string(8, "w")
      for (key, value) in [("location", "w.bin"), ("length", "4000")] {
        $0.message(
          13,
          Message.build {
            $0.string(1, key)
            $0.string(2, value)
          })
      }
      $0.integer(14, 1)
    }
    let path = folder.write(
      "m.onnx",
      ONNXEncoder.model(
        ONNXEncoder.graph(
          [ONNXEncoder.node("Relu", ["w"], ["y"])], outputs: [ONNXEncoder.value("y", 1, ["n"])],
          initializers: [weight])))
    let error = martletError { _ = try Model.load(path: path) }
    #expect(
      error?.message.contains("'w.bin': this is a pointer of git-lfs; fetch the file itself")
        == true,
      "\(error?.message ?? "")")
  }
}
